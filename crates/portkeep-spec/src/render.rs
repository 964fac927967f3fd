//! Turns a spec into the text of its units.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::escape::Escaped;
use crate::template::{Context, Template};
use crate::{
    Address, Problem, Protocol, Readiness, Span, Spec, SpecError, is_ipv6_only, unit_names,
};
use portkeep_contract as contract;

mod directories;
mod left_out;
mod sandbox;
mod templates;
mod user_name;

pub use left_out::left_out;
pub use user_name::of as user_name;

/// Extra time of the handle's start over the app's own: an earlier caller may hold the lock while it drains and records.
const HANDLE_EXTRA: std::time::Duration = std::time::Duration::from_secs(90);

/// Extra time of the settle unit over the pause before a restart: it waits for D-Bus, and for a moment for the lock.
const SETTLE_EXTRA: std::time::Duration = std::time::Duration::from_secs(30);

/// Extra time over the grace, for the unit that tells load balancers of a shutdown.
const LEAVE_EXTRA: std::time::Duration = std::time::Duration::from_secs(10);

/// Which systemd manager runs the units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Manager {
    /// The system's (PID 1).
    System,
    /// A user's.
    User,
}

impl fmt::Display for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "system",
            Self::User => "user",
        })
    }
}

/// Name of the drop-in with a unit's sandbox.
const SANDBOX: &str = "50-sandbox.conf";

/// Values of the units that the spec does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderOptions {
    /// The `portkeep` executable that the units call, as an absolute path.
    pub helper: PathBuf,
    /// Where the helper finds the spec, as an absolute path.
    pub spec_path: PathBuf,
    /// The manager that loads the units. It decides about the sandbox, and whether a build output is watched.
    pub manager: Manager,
}

/// One of the unit files of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitFile {
    /// Its path below a unit directory: `hello.socket`, `hello@.service.d/50-sandbox.conf`.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// The slice of all apps, in the system manager. It belongs to no app, because each needs it.
///
/// # Errors
/// Never, since its text has no values; a wrong template would be an error.
pub fn slice() -> Result<UnitFile, SpecError> {
    Ok(UnitFile {
        path: contract::SLICE.into(),
        text: templates::SLICE.render(&Context::default())?,
    })
}

/// The unit that ends drains which hold up a shutdown for too long, in the system manager. It belongs to no app, like the
/// slice.
///
/// # Errors
/// Never, as for the slice.
pub fn shutdown_limit() -> Result<UnitFile, SpecError> {
    Ok(UnitFile {
        path: contract::SHUTDOWN.into(),
        text: templates::SHUTDOWN.render(&Context::default())?,
    })
}

/// The unit that writes the metrics of all apps into the directory `textfiles`, and its timer. They belong to no app, like
/// the slice.
///
/// # Errors
/// When a path is relative or cannot be expressed in a unit file.
pub fn metrics_units(
    which: Manager,
    helper: &Path,
    textfiles: &Path,
) -> Result<[UnitFile; 2], SpecError> {
    let context = metrics_context(which, helper, textfiles)?;
    let unit = |path: &str, template: Template| -> Result<UnitFile, SpecError> {
        Ok(UnitFile {
            path: path.into(),
            text: template.render(&context)?,
        })
    };
    Ok([
        unit(contract::METRICS_SERVICE, templates::METRICS)?,
        unit(contract::METRICS_TIMER, templates::METRICS_TIMER)?,
    ])
}

fn metrics_context(which: Manager, helper: &Path, textfiles: &Path) -> Result<Context, SpecError> {
    let mut context = Context::default();
    let program = Escaped::program(helper).map_err(|problem| problem.at("helper"))?;
    context.set("helper", program);
    context.set(
        "manager",
        Escaped::fixed(match which {
            Manager::System => "--system",
            Manager::User => "--user",
        }),
    );
    let text = textfiles.to_str().filter(|_| textfiles.is_absolute());
    let text = text.ok_or_else(|| Problem::NotAbsolute(textfiles.display().to_string()));
    let word = text.and_then(Escaped::word);
    context.set("textfiles", word.map_err(|problem| problem.at("textfile"))?);
    Ok(context)
}

/// Renders the unit files of an app.
///
/// # Errors
/// When the spec breaks a rule, or when a path is relative or cannot be expressed in a unit file; the field is named,
/// with `helper` and `spec_path` for the options.
pub fn render(spec: &Spec, options: &RenderOptions) -> Result<Vec<UnitFile>, SpecError> {
    spec.validate()?;
    spec.check_written_length()?;
    directories::check(spec)?;
    sandbox::check(spec, options.manager)?;
    let context = context(spec, options)?;
    let unit = |path: String, template: Template| -> Result<UnitFile, SpecError> {
        Ok(UnitFile {
            path: path.into(),
            text: template.render(&context)?,
        })
    };

    let name = &spec.name;
    let mut units = vec![unit(unit_names::target(name), templates::TARGET)?];
    for (index, unit) in unit_names::ports(spec).into_iter().enumerate() {
        let context = socket_context(&context, index, spec)?;
        units.push(UnitFile {
            path: unit.into(),
            text: templates::SOCKET.render(&context)?,
        });
    }
    if spec.has_move_socket() {
        units.push(unit(unit_names::move_socket(name), templates::MOVE_SOCKET)?);
        units.push(unit(
            unit_names::move_service(name),
            templates::MOVE_SERVICE,
        )?);
    }
    units.push(unit(unit_names::handle(name), templates::HANDLE)?);
    let drop_in = |unit: &str, file: &str| format!("{unit}.d/{file}");
    let of_the_app = [
        Some((unit_names::generation_template(name), templates::GENERATION)),
        (!spec.release.is_empty())
            .then(|| (unit_names::release_template(name), templates::RELEASE)),
    ];
    for (template, text) in of_the_app.into_iter().flatten() {
        let sandbox = drop_in(&template, SANDBOX);
        if options.manager == Manager::System {
            units.push(unit(
                drop_in(&template, "40-system.conf"),
                templates::GENERATION_SYSTEM,
            )?);
        }
        units.push(unit(template, text)?);
        if let Some(template) = sandbox::drop_in(spec, options.manager) {
            units.push(unit(sandbox, template)?);
        }
    }
    for template in unit_names::settle_templates(name) {
        units.push(unit(template, templates::SETTLE)?);
    }
    if spec.speaks_http() {
        let holding = unit_names::holding(name);
        let sandbox = match options.manager {
            Manager::System => templates::HOLDING_SANDBOX_SYSTEM,
            Manager::User => templates::HOLDING_SANDBOX_USER,
        };
        units.push(unit(drop_in(&holding, SANDBOX), sandbox)?);
        units.push(unit(holding, templates::HOLDING)?);
        units.push(unit(unit_names::retry(name), templates::RETRY)?);
    }
    if !spec.health.is_empty() {
        units.push(unit(unit_names::leave(name), templates::LEAVE)?);
        // Rendered even if the app answers: the set of files must not depend on the program's contents.
        let health = unit_names::health(name);
        let sandbox = match options.manager {
            Manager::System => templates::HEALTH_SANDBOX_SYSTEM,
            Manager::User => templates::HOLDING_SANDBOX_USER,
        };
        units.push(unit(drop_in(&health, SANDBOX), sandbox)?);
        units.push(unit(health, templates::HEALTH)?);
    }
    if spec.watches_secrets() {
        for (name, template) in [
            (unit_names::secrets_template(name), templates::SECRETS_PATH),
            (unit_names::secrets(name), templates::SECRETS),
            (
                unit_names::secrets_recheck(name),
                templates::SECRETS_RECHECK,
            ),
        ] {
            units.push(unit(name, template)?);
        }
    }
    if watched(spec, options).is_some() {
        units.push(unit(unit_names::path(name), templates::PATH)?);
        units.push(unit(unit_names::deploy(name), templates::DEPLOY)?);
        units.push(unit(unit_names::recheck(name), templates::RECHECK)?);
    }
    Ok(units)
}

/// The directory to watch, in development only: it shows a replaced symlink and a replaced file.
fn watched<'a>(spec: &'a Spec, options: &RenderOptions) -> Option<&'a Path> {
    spec.watch
        .as_deref()
        .filter(|_| options.manager == Manager::User)?
        .parent()
}

/// How long the unit may take that tells load balancers of a shutdown: the grace, and a little more.
#[must_use]
pub fn leave_limit(spec: &Spec) -> Span {
    (*spec.drain_grace + LEAVE_EXTRA).into()
}

fn context(spec: &Spec, options: &RenderOptions) -> Result<Context, SpecError> {
    let token = |text: &str| Escaped::token(text).map_err(|problem| problem.at("name"));
    let mut context = Context::default();
    context.set("name", token(spec.name.as_str())?);
    context.set("user", token(&user_name::of(&spec.name))?);
    let sockets = unit_names::sockets(spec)
        .iter()
        .map(|unit| token(unit))
        .collect::<Result<Vec<_>, _>>()?;
    context.set("sockets", Escaped::list(&sockets));
    let units = |units: Vec<String>| -> Result<Escaped, SpecError> {
        let units = units.iter().map(|unit| token(unit));
        Ok(Escaped::list(&units.collect::<Result<Vec<_>, _>>()?))
    };
    context.set("passed", units(unit_names::passed(spec))?);
    let health = units(unit_names::health_sockets(spec))?;
    context.set("health_sockets", health.clone());
    context.set_optional("health", (!spec.health.is_empty()).then_some(health));
    context.set("leave_timeout", Escaped::span(leave_limit(spec)));

    let in_options = |field: &'static str| move |problem: Problem| problem.at(field);
    context.set(
        "helper",
        Escaped::program(&options.helper).map_err(in_options("helper"))?,
    );
    let spec_path = options
        .spec_path
        .to_str()
        .ok_or_else(|| Problem::NotUtf8(options.spec_path.clone()));
    context.set(
        "spec",
        spec_path
            .and_then(Escaped::word)
            .map_err(in_options("spec_path"))?,
    );

    context.set(
        "type",
        Escaped::fixed(match spec.readiness {
            Readiness::Notify => "notify",
            Readiness::Accepts | Readiness::Started => "exec",
        }),
    );
    context.set("runtime_directory", Escaped::fixed(contract::DIRECTORY));
    context.set("move_socket", Escaped::fixed(contract::MOVE_SOCKET));
    context.set("move_file", Escaped::fixed(contract::MOVE_FILE));
    context.set("generations", Escaped::fixed(contract::GENERATIONS));
    context.set("holding", Escaped::fixed(contract::HOLDING));
    context.set("slice", Escaped::fixed(contract::SLICE));
    context.set("shutdown", Escaped::fixed(contract::SHUTDOWN));
    context.set(
        "wanted_by",
        Escaped::fixed(match options.manager {
            Manager::System => "sockets.target",
            Manager::User => "default.target",
        }),
    );
    let http = spec
        .listen
        .iter()
        .filter(|listen| listen.protocol == Protocol::Http)
        .map(|listen| Escaped::socket_name(&listen.name));
    context.set("http_sockets", Escaped::list(&http.collect::<Vec<_>>()));
    context.set("environment", Escaped::fixed(contract::ENVIRONMENT));
    context.set("argv0", Escaped::fixed(contract::PORTKEEP_ARGV0));
    context.set("arguments", Escaped::fixed(contract::PORTKEEP_ARGS));
    context.set("start_timeout", Escaped::span(spec.start_timeout));
    context.set(
        "handle_timeout",
        Escaped::span((spec.longest_start() + HANDLE_EXTRA).into()),
    );
    context.set("release_timeout", Escaped::span(spec.release_timeout));
    context.set("release_command", Escaped::fixed(contract::RELEASE_COMMAND));
    context.set("drain_timeout", Escaped::span(spec.drain_timeout));
    context.set(
        "settle_timeout",
        Escaped::span((*spec.restart.max_delay + SETTLE_EXTRA).into()),
    );
    context.set_optional("watchdog", spec.watchdog.map(Escaped::span));
    paths(spec, options, &mut context)?;
    resources(spec, &mut context);
    sandbox::fill(spec, &mut context)?;
    Ok(context)
}

fn paths(spec: &Spec, options: &RenderOptions, context: &mut Context) -> Result<(), SpecError> {
    let files = spec
        .environment_files
        .iter()
        .enumerate()
        .map(|(index, path)| {
            Escaped::glob_path(path)
                .map_err(|problem| problem.at(format!("environmentFiles[{index}]")))
        });
    context.set_list("environment_files", files.collect::<Result<_, _>>()?);
    let credentials = spec.credentials.iter().map(|(id, path)| {
        Escaped::credential(id, path).map_err(|problem| problem.at(format!("credentials.{id}")))
    });
    context.set_list("credentials", credentials.collect::<Result<_, _>>()?);
    let path = |path: Option<&Path>, field: &'static str| {
        path.map(Escaped::path)
            .transpose()
            .map_err(|problem| problem.at(field))
    };
    context.set_optional(
        "working_directory",
        path(spec.working_directory.as_deref(), "workingDirectory")?,
    );
    let release_files = spec
        .runs_in_its_release()
        .then(|| Escaped::fixed(contract::FILES).into());
    context.set_optional("release_files", release_files);
    context.set_optional("watched_directory", path(watched(spec, options), "watch")?);
    Ok(())
}

fn resources(spec: &Spec, context: &mut Context) {
    let resources = &spec.resources;
    context.set_optional("memory_max", resources.memory_max.map(Escaped::memory));
    context.set_optional("memory_high", resources.memory_high.map(Escaped::memory));
    context.set_optional("cpu_quota", resources.cpu_quota.map(Escaped::cpu));
    context.set_optional("tasks_max", resources.tasks_max.map(Escaped::tasks));
}

fn socket_context(common: &Context, index: usize, spec: &Spec) -> Result<Context, SpecError> {
    let all = &spec.ports()[..];
    let listen = &all[index];
    let at = |field: &str| format!("{}.{field}", spec.entry(index));
    let mut context = common.clone();
    let is_health = index >= spec.listen.len();
    let service = match is_health && !spec.app_answers_health() {
        true => unit_names::health(&spec.name),
        false => unit_names::handle(&spec.name),
    };
    let service = Escaped::token(&service).map_err(|problem| problem.at("name"))?;
    context.set("service", service);
    let name = Escaped::socket_name(&listen.name);
    context.set("socket", name);
    context.set(
        "directive",
        Escaped::fixed(match &listen.address {
            Address::Tcp(_) | Address::UnixStream(_) => "ListenStream",
            Address::Udp(_) | Address::UnixDatagram(_) => "ListenDatagram",
            Address::UnixSeqpacket(_) => "ListenSequentialPacket",
        }),
    );
    let address = match listen.address.path() {
        Some(path) => Escaped::path(path),
        None => Escaped::token(&listen.address.to_string()),
    };
    context.set(
        "address",
        address.map_err(|problem| problem.at(at(listen.address.field())))?,
    );
    let backlog = listen
        .address
        .is_connected()
        .then(|| Escaped::number(listen.backlog));
    context.set_optional("backlog", backlog);
    let is_unix = listen.address.path().is_some();
    let mode = is_unix.then(|| Escaped::mode(listen.mode()));
    context.set_optional("mode", mode);
    for (name, field, value) in [
        ("owner", "user", &listen.user),
        ("group", "group", &listen.group),
    ] {
        let value = value.as_deref().map(Escaped::keyword).transpose();
        context.set_optional(name, value.map_err(|problem| problem.at(at(field)))?);
    }
    let free_bind = !is_unix && listen.binds_freely();
    context.set_optional("free_bind", free_bind.then(|| Escaped::fixed("yes").into()));
    let ipv6 = is_ipv6_only(&listen.address, all).map(|is_only| match is_only {
        true => Escaped::fixed("ipv6-only").into(),
        false => Escaped::fixed("both").into(),
    });
    context.set_optional("ipv6", ipv6);
    Ok(context)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::{Listen, SocketName};

    fn options(manager: Manager) -> RenderOptions {
        RenderOptions {
            helper: "/usr/bin/portkeep".into(),
            spec_path: "/etc/portkeep/a.json".into(),
            manager,
        }
    }

    fn spec() -> Spec {
        let http = Listen::new(SocketName::http(), Address::stream("127.0.0.1:80").unwrap());
        Spec::new("a".parse().unwrap(), vec!["/bin/a".into()], vec![http])
    }

    #[test]
    fn every_value_is_used_and_every_used_name_is_a_value() {
        let spec = spec();
        let common = context(&spec, &options(Manager::User)).unwrap();
        let socket = socket_context(&common, 0, &spec).unwrap();
        let metrics = metrics_context(Manager::User, Path::new("/h"), Path::new("/d")).unwrap();
        let values = socket.names().chain(metrics.names());
        let values: HashSet<String> = values.map(str::to_owned).collect();
        let used: HashSet<String> = templates::ALL
            .iter()
            .flat_map(|template| template.uses())
            .collect();
        assert_eq!(values, used);
    }

    #[test]
    fn what_cannot_be_expressed_names_its_field() {
        let refused = |change: &dyn Fn(&mut Spec, &mut RenderOptions)| {
            let (mut spec, mut options) = (spec(), options(Manager::User));
            change(&mut spec, &mut options);
            render(&spec, &options).unwrap_err().to_string()
        };
        for (field, message) in [
            (
                "helper:",
                refused(&|_, options| options.helper = "/a'b".into()),
            ),
            (
                "helper:",
                refused(&|_, options| options.helper = "portkeep".into()),
            ),
            (
                "spec_path:",
                refused(&|_, options| options.spec_path = "/a\0b".into()),
            ),
            (
                "environmentFiles[0]:",
                refused(&|spec, _| spec.environment_files = vec!["/a\nb".into()]),
            ),
            (
                "environmentFiles[0]:",
                refused(&|spec, _| spec.environment_files = vec!["a".into()]),
            ),
            (
                "credentials.x:",
                refused(&|spec, _| spec.credentials = [("x".into(), "b".into())].into()),
            ),
            (
                "workingDirectory:",
                refused(&|spec, _| spec.working_directory = Some("/a\\".into())),
            ),
            (
                "watch:",
                refused(&|spec, _| spec.watch = Some("target/debug/a".into())),
            ),
            (
                "listen[0].stream:",
                refused(&|spec, _| spec.listen[0].address = Address::UnixStream("/a\r".into())),
            ),
        ] {
            assert!(message.starts_with(field), "{field} not in {message}");
        }
    }

    #[test]
    fn only_a_users_manager_watches_the_build() {
        let mut spec = spec();
        spec.watch = Some("/home/dev/target/debug/a".into());
        let has_path = |manager| {
            render(&spec, &options(manager))
                .unwrap()
                .iter()
                .any(|unit| unit.path.ends_with("a.path"))
        };
        assert!(has_path(Manager::User));
        assert!(!has_path(Manager::System));
    }
}
