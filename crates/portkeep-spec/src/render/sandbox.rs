//! Values of the sandbox's templates: which locks are open.

use super::{Manager, templates};
use crate::allow::{Allow, Home, Network};
use crate::escape::Escaped;
use crate::template::{Context, Template};
use crate::{Problem, Sandbox, Spec, SpecError};

pub(super) fn fill(spec: &Spec, context: &mut Context) -> Result<(), SpecError> {
    let allow = &spec.allow;
    let flags = [
        ("network", allow.network != Network::None),
        ("any_network", allow.network == Network::Any),
        ("state_directory", allow.state_directory),
        ("cache_directory", allow.cache_directory),
        ("writable_home", allow.home == Home::ReadWrite),
        // A capability counts in the machine's own user namespace only, a setuid program as well.
        (
            "users",
            allow.users || allow.setuid || !allow.capabilities.is_empty(),
        ),
        ("shared_tmp", allow.shared_tmp),
        ("shared_mounts", allow.shared_mounts),
        ("processes", allow.processes),
        ("namespaces", allow.namespaces),
        ("realtime", allow.realtime),
        ("setuid", allow.setuid),
        ("jit", allow.jit),
        ("personality", allow.personality),
        ("clock", allow.clock),
        ("control_groups", allow.control_groups),
        ("host_name", allow.hostname),
        ("kernel_logs", allow.kernel_logs),
        ("kernel_modules", allow.kernel_modules),
        ("kernel_tunables", allow.kernel_tunables),
        ("lasting_ipc", allow.lasting_ipc),
    ];
    for (name, open) in flags {
        context.set_optional(name, open.then(|| Escaped::fixed("yes").into()));
    }
    let home = match allow.home {
        Home::Hidden => Escaped::fixed("yes"),
        Home::ReadOnly | Home::ReadWrite => Escaped::fixed("read-only"),
    };
    context.set("home", home);
    let keyring = match allow.shared_keyring {
        false => Escaped::fixed("private"),
        true => Escaped::fixed("shared"),
    };
    context.set("keyring", keyring);
    paths(allow, context)?;
    words(allow, context)
}

/// The drop-in that says who a generation is and what it may do: all that differs between the managers.
pub(super) fn drop_in(spec: &Spec, manager: Manager) -> Option<Template> {
    match (spec.sandbox, manager) {
        (Sandbox::Strict, Manager::System) => Some(templates::SANDBOX_SYSTEM),
        (Sandbox::Strict, Manager::User) => Some(templates::SANDBOX_USER),
        (Sandbox::Off, Manager::System) => Some(templates::USER_SYSTEM),
        (Sandbox::Off, Manager::User) => None,
    }
}

/// What a manager could not do as the spec says. Rules of rendering and not of reading: an app that was installed before
/// they were made is still handed over.
pub(super) fn check(spec: &Spec, manager: Manager) -> Result<(), SpecError> {
    match spec.sandbox {
        Sandbox::Strict if manager == Manager::System => check_for_system(&spec.allow),
        Sandbox::Strict => Ok(()),
        Sandbox::Off => {
            let ignored = spec.allow.without_effect_without_sandbox();
            if let Some(field) = ignored.first() {
                return Err(Problem::NothingLocked.at(format!("allow.{field}")));
            }
            if manager == Manager::System && spec.allow.user.is_none() {
                return Err(Problem::WouldBeRoot.at("allow.user"));
            }
            Ok(())
        }
    }
}

/// A user that exists only while the app runs may leave nothing behind, so systemd keeps these locks for it.
fn check_for_system(allow: &Allow) -> Result<(), SpecError> {
    let needs_user = [
        ("allow.sharedTmp", allow.shared_tmp),
        ("allow.setuid", allow.setuid),
        ("allow.lastingIpc", allow.lasting_ipc),
        ("allow.home", allow.home == Home::ReadWrite),
    ];
    match needs_user.iter().find(|(_, open)| *open) {
        Some((field, _)) if allow.user.is_none() => Err(Problem::NeedsUser.at(*field)),
        _ => Ok(()),
    }
}

fn paths(allow: &Allow, context: &mut Context) -> Result<(), SpecError> {
    let writable = allow
        .writable_paths
        .iter()
        .enumerate()
        .map(|(index, path)| {
            Escaped::listed_path(path)
                .map_err(|problem| problem.at(format!("allow.writablePaths[{index}]")))
        });
    context.set_list("writable_paths", writable.collect::<Result<_, _>>()?);
    let devices = allow.devices.iter().enumerate().map(|(index, path)| {
        Escaped::listed_path(path).map_err(|problem| problem.at(format!("allow.devices[{index}]")))
    });
    context.set_list("devices", devices.collect::<Result<_, _>>()?);
    Ok(())
}

fn words(allow: &Allow, context: &mut Context) -> Result<(), SpecError> {
    let list = |words: &[String], field: &'static str| -> Result<Option<Escaped>, SpecError> {
        let words = words
            .iter()
            .map(|word| Escaped::keyword(word).map_err(|problem| problem.at(field)))
            .collect::<Result<Vec<_>, _>>()?;
        Ok((!words.is_empty()).then(|| Escaped::list(&words)))
    };
    context.set_optional(
        "capabilities",
        list(&allow.capabilities, "allow.capabilities")?,
    );
    context.set_optional(
        "system_calls",
        list(&allow.system_calls, "allow.systemCalls")?,
    );
    context.set_optional(
        "architectures",
        list(&allow.architectures, "allow.architectures")?,
    );
    context.set_optional("run_as", list(allow.user.as_slice(), "allow.user")?);
    let umask = list(allow.umask.as_slice(), "allow.umask")?;
    context.set(
        "umask",
        umask.unwrap_or_else(|| Escaped::fixed("0077").into()),
    );
    Ok(())
}
