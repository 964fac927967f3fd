//! Exceptions from the sandbox: one field for each lock of `sandbox: "strict"`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Locks of `sandbox: "strict"` to open, one field each. Default: none. Without a sandbox nothing is locked, and only
/// `user` may be written.
///
/// Another lock may still be in the way: setting the clock takes `clock`, the capability `CAP_SYS_TIME` and the system
/// calls `@clock`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Allow {
    /// Addresses that the app may connect to, and listen on by itself. Its passed sockets work in any case.
    pub network: Network,
    /// Files and directories that it may write to, if its user may. They must exist.
    pub writable_paths: Vec<PathBuf>,
    /// A directory of its own that outlives it, `$STATE_DIRECTORY` (`/var/lib/NAME`, or the user manager's counterpart).
    pub state_directory: bool,
    /// A directory of its own that may be emptied, `$CACHE_DIRECTORY` (`/var/cache/NAME`, `~/.cache/NAME`).
    pub cache_directory: bool,
    /// Its view of home directories. A user's manager cannot hide them: they are read-only there by default.
    pub home: Home,
    /// Devices that it may use, such as `/dev/dri/renderD128`. The system manager only; under a user's none is locked.
    pub devices: Vec<PathBuf>,
    /// Capabilities of the app, such as `CAP_NET_ADMIN`. The system manager only; a user's has none to give.
    pub capabilities: Vec<String>,
    /// The user that it runs as, instead of its own user `pk-NAME`. The system manager only, which needs it if `sandbox` is
    /// "off".
    pub user: Option<String>,
    /// It sees the users of the machine, not only itself and root: the owner of a file, the user of a client.
    pub users: bool,
    /// It shares `/tmp` and `/var/tmp` with the machine. In the system manager that needs `user`.
    pub shared_tmp: bool,
    /// Its mounts are visible to the machine.
    pub shared_mounts: bool,
    /// It sees other processes, and all of /proc.
    pub processes: bool,
    /// System calls beyond those of ordinary services: names, or groups such as `@mount` (`systemd-analyze syscall-filter`).
    pub system_calls: Vec<String>,
    /// System calls of other architectures, such as `x86` for 32-bit programs.
    pub architectures: Vec<String>,
    /// It may make namespaces: containers, sandboxes of browsers.
    pub namespaces: bool,
    /// It may request real-time scheduling, and change its own limits and priorities.
    pub realtime: bool,
    /// It may gain privileges by setuid programs (`sudo`), and make such programs. In the system manager that needs `user`;
    /// a user manager cannot allow it.
    pub setuid: bool,
    /// It may make memory executable: just-in-time compilers (Node, Java, LuaJIT).
    pub jit: bool,
    /// It may change its execution domain (`personality(2)`).
    pub personality: bool,
    /// It sees clock devices.
    pub clock: bool,
    /// It may write to control groups.
    pub control_groups: bool,
    /// It may change the name of the host.
    pub hostname: bool,
    /// It may read the kernel's log. The system manager only; under a user's it is not locked.
    pub kernel_logs: bool,
    /// It may load kernel modules.
    pub kernel_modules: bool,
    /// It may write to /proc/sys and /sys.
    pub kernel_tunables: bool,
    /// Its System V and POSIX shared memory outlives it. In the system manager that needs `user`.
    pub lasting_ipc: bool,
    /// It uses the kernel keyring of its user.
    pub shared_keyring: bool,
    /// Umask of its files, in octal digits. Default: "0077".
    pub umask: Option<String>,
}

impl Allow {
    /// Whether the app runs as root, by name or by number.
    #[must_use]
    pub fn is_root(&self) -> bool {
        let is_zero = |user: &str| !user.is_empty() && user.bytes().all(|digit| digit == b'0');
        self.user
            .as_deref()
            .is_some_and(|user| user == "root" || is_zero(user))
    }

    /// Fields that are written although nothing is locked without a sandbox: all but `user`.
    pub(crate) fn without_effect_without_sandbox(&self) -> Vec<String> {
        let fields = |allow: &Self| serde_json::to_value(allow).unwrap_or_default();
        let (written, default) = (fields(self), fields(&Self::default()));
        let fields = written.as_object().into_iter().flatten();
        let changed = fields.filter(|(field, value)| {
            field.as_str() != "user" && default.get(field.as_str()) != Some(value)
        });
        changed.map(|(field, _)| field.clone()).collect()
    }
}

/// Addresses that a sandboxed app may connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Network {
    /// None: Unix sockets only.
    #[default]
    None,
    /// This machine. A user manager cannot tell it from other addresses.
    Loopback,
    /// Any.
    Any,
}

/// View of home directories for a sandboxed app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Home {
    /// Nothing.
    #[default]
    Hidden,
    /// Their files, if its user may read them.
    ReadOnly,
    /// Their files, which it may also write, if its user may.
    ReadWrite,
}
