//! Unit templates, compiled in. `templates` is a symlink to `systemd/` at the top of the repository, so that people find the
//! files there and the crate still contains them.

use crate::template::Template;

macro_rules! template {
    ($file:literal) => {
        Template {
            file: $file,
            text: include_str!(concat!("../../templates/", $file)),
        }
    };
}

pub(super) const TARGET: Template = template!("app.target");
pub(super) const SOCKET: Template = template!("app.socket");
pub(super) const MOVE_SOCKET: Template = template!("app-move.socket");
pub(super) const MOVE_SERVICE: Template = template!("app-move.service");
pub(super) const HANDLE: Template = template!("app.service");
pub(super) const GENERATION: Template = template!("app@.service");
pub(super) const SANDBOX_SYSTEM: Template = template!("app@.service.d/50-sandbox.system.conf");
pub(super) const SANDBOX_USER: Template = template!("app@.service.d/50-sandbox.user.conf");
pub(super) const USER_SYSTEM: Template = template!("app@.service.d/50-user.system.conf");
pub(super) const GENERATION_SYSTEM: Template = template!("app@.service.d/40-system.conf");
pub(super) const SETTLE: Template = template!("app-settle@.service");
pub(super) const RELEASE: Template = template!("app-release@.service");
pub(super) const HOLDING: Template = template!("app-holding.service");
pub(super) const HOLDING_SANDBOX_SYSTEM: Template =
    template!("app-holding.service.d/50-sandbox.system.conf");
pub(super) const HOLDING_SANDBOX_USER: Template =
    template!("app-holding.service.d/50-sandbox.user.conf");
pub(super) const SLICE: Template = template!("portkeep.slice");
pub(super) const SHUTDOWN: Template = template!("portkeep-shutdown.service");
pub(super) const HEALTH: Template = template!("app-health.service");
pub(super) const HEALTH_SANDBOX_SYSTEM: Template =
    template!("app-health.service.d/50-sandbox.system.conf");
pub(super) const LEAVE: Template = template!("app-leave.service");
pub(super) const METRICS: Template = template!("portkeep-metrics.service");
pub(super) const METRICS_TIMER: Template = template!("portkeep-metrics.timer");
pub(super) const RETRY: Template = template!("app-retry.service");
pub(super) const SECRETS_PATH: Template = template!("app-secrets@.path");
pub(super) const SECRETS: Template = template!("app-secrets.service");
pub(super) const SECRETS_RECHECK: Template = template!("app-secrets-recheck.service");
pub(super) const PATH: Template = template!("app.path");
pub(super) const DEPLOY: Template = template!("app-deploy.service");
pub(super) const RECHECK: Template = template!("app-recheck.service");

#[cfg(test)]
pub(super) const ALL: [Template; 29] = [
    TARGET,
    SOCKET,
    MOVE_SOCKET,
    MOVE_SERVICE,
    HANDLE,
    GENERATION,
    SANDBOX_SYSTEM,
    SANDBOX_USER,
    USER_SYSTEM,
    GENERATION_SYSTEM,
    SETTLE,
    RELEASE,
    HOLDING,
    HOLDING_SANDBOX_SYSTEM,
    HOLDING_SANDBOX_USER,
    SLICE,
    SHUTDOWN,
    HEALTH,
    HEALTH_SANDBOX_SYSTEM,
    LEAVE,
    METRICS,
    METRICS_TIMER,
    RETRY,
    SECRETS_PATH,
    SECRETS,
    SECRETS_RECHECK,
    PATH,
    DEPLOY,
    RECHECK,
];
