//! Locks of the sandbox that a user's manager cannot apply.

use std::path::Path;

use super::{Manager, RenderOptions, SANDBOX, UnitFile, render};
use crate::{Sandbox, Spec, SpecError, unit_names};

/// The directives of the sandbox that the system manager gets and a user's does not, in their order: it cannot apply them.
/// Found by rendering for both, so that there is no second list.
///
/// # Errors
/// As [`render`].
pub fn left_out(spec: &Spec, options: &RenderOptions) -> Result<Vec<String>, SpecError> {
    if spec.sandbox == Sandbox::Off {
        return Ok(Vec::new());
    }
    let directives = |manager| -> Result<Vec<String>, SpecError> {
        let options = RenderOptions {
            manager,
            ..options.clone()
        };
        let units = render(spec, &options)?;
        let directory = format!("{}.d", unit_names::generation_template(&spec.name));
        let sandbox = units
            .iter()
            .find(|unit| unit.path == Path::new(&directory).join(SANDBOX));
        Ok(sandbox.map(keys).unwrap_or_default())
    };
    let (system, user) = (directives(Manager::System)?, directives(Manager::User)?);
    let mut left_out: Vec<String> = Vec::new();
    for key in system {
        if !user.contains(&key) && !left_out.contains(&key) {
            left_out.push(key);
        }
    }
    Ok(left_out)
}

fn keys(unit: &UnitFile) -> Vec<String> {
    let keys = unit.text.lines().filter(|line| !line.starts_with('#'));
    keys.filter_map(|line| Some(line.split_once('=')?.0.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Address, Listen, SocketName};

    #[test]
    fn what_a_users_manager_cannot_do() {
        let http = Listen::new(SocketName::http(), Address::stream("127.0.0.1:80").unwrap());
        let mut spec = Spec::new("a".parse().unwrap(), vec!["/bin/a".into()], vec![http]);
        let options = RenderOptions {
            helper: "/bin/portkeep".into(),
            spec_path: "/a.json".into(),
            manager: Manager::User,
        };
        let names = left_out(&spec, &options).unwrap();
        assert!(names.contains(&"DynamicUser".to_owned()), "{names:?}");
        assert!(!names.contains(&"NoNewPrivileges".to_owned()), "{names:?}");
        spec.allow.devices = vec!["/dev/fuse".into()];
        assert!(
            left_out(&spec, &options)
                .unwrap()
                .contains(&"DeviceAllow".to_owned())
        );
        spec.sandbox = Sandbox::Off;
        assert_eq!(left_out(&spec, &options).unwrap(), Vec::<String>::new());
    }
}
