//! The socket units.

use portkeep_spec::{Address, Listen, Manager, Protocol};

use super::super::reader::simplified;
use super::Sections;

pub fn listening(name: &str, listen: &Listen, manager: Manager) -> Sections {
    let (directive, connected) = match listen.address {
        Address::Tcp(_) | Address::UnixStream(_) => ("ListenStream", true),
        Address::UnixSeqpacket(_) => ("ListenSequentialPacket", true),
        _ => ("ListenDatagram", false),
    };
    assert_eq!(
        listen.protocol == Protocol::Http,
        directive == "ListenStream"
    );
    let s = str::to_owned;
    let mut lines = vec![
        (directive, simplified(&listen.address.to_string())),
        ("FileDescriptorName", listen.name.to_string()),
    ];
    if connected {
        lines.push(("Backlog", listen.backlog.to_string()));
    }
    if listen.address.path().is_none() {
        lines.extend((listen.free_bind != Some(false)).then(|| ("FreeBind", s("yes"))));
        // No two of these have the same port.
        let is_every = listen.address.to_string().starts_with("[::]:");
        lines.extend(is_every.then(|| ("BindIPv6Only", s("both"))));
    } else {
        let mode = match (listen.mode, &listen.group) {
            (Some(mode), _) => format!("{:04o}", mode.bits()),
            (None, None) => s("0600"),
            (None, Some(_)) => s("0660"),
        };
        lines.extend([("SocketMode", mode), ("RemoveOnStop", s("yes"))]);
        lines.extend(listen.user.clone().map(|user| ("SocketUser", user)));
        lines.extend(listen.group.clone().map(|group| ("SocketGroup", group)));
    }
    let description = format!("port {} of {name}", listen.name);
    let mut sections = of_app(name, description, format!("{name}.service"), lines, manager);
    // The port is closed with the target. Nobody can stop its socket alone.
    sections[0].1.push(("RefuseManualStop", s("yes")));
    sections
}

/// The socket over which connections move, and its service, which runs `nothing`.
pub fn moving(name: &str, manager: Manager, nothing: String) -> [(String, Sections); 2] {
    [
        (format!("{name}-move.socket"), moving_socket(name, manager)),
        (
            format!("{name}-move.service"),
            moving_service(name, nothing),
        ),
    ]
}

fn moving_socket(name: &str, manager: Manager) -> Sections {
    let s = str::to_owned;
    let lines = vec![
        (
            "ListenSequentialPacket",
            format!("<t>/portkeep/{name}/move"),
        ),
        ("FileDescriptorName", s("portkeep-move")),
        ("SocketMode", s("0600")),
        ("RemoveOnStop", s("yes")),
    ];
    of_app(
        name,
        format!("socket for connections of {name} that move"),
        format!("{name}-move.service"),
        lines,
        manager,
    )
}

fn moving_service(name: &str, nothing: String) -> Sections {
    let s = str::to_owned;
    vec![
        (
            "Unit",
            vec![
                (
                    "Description",
                    format!("nothing of {name}: nobody is there to whom connections could move"),
                ),
                ("X-Portkeep-App", s(name)),
                ("PartOf", format!("{name}-move.socket")),
                ("StartLimitIntervalSec", s("0")),
                ("X-SwitchMethod", s("keep-old")),
            ],
        ),
        (
            "Service",
            vec![
                ("Type", s("oneshot")),
                ("RemainAfterExit", s("yes")),
                ("ExecStop", nothing),
                ("StandardOutput", s("null")),
                ("X-RestartIfChanged", s("false")),
            ],
        ),
    ]
}

fn of_app(
    name: &str,
    description: String,
    service: String,
    mut lines: Vec<(&'static str, String)>,
    manager: Manager,
) -> Sections {
    let wanted_by = match manager {
        Manager::System => "sockets.target",
        Manager::User => "default.target",
    };
    let s = str::to_owned;
    lines.push(("Service", service));
    lines.push(("TriggerLimitIntervalSec", s("0")));
    vec![
        (
            "Unit",
            vec![
                ("Description", description),
                ("X-Portkeep-App", s(name)),
                ("PartOf", format!("{name}.target")),
                ("Wants", format!("{name}.target")),
                ("X-SwitchMethod", s("keep-old")),
            ],
        ),
        ("Socket", lines),
        ("Install", vec![("WantedBy", s(wanted_by))]),
    ]
}
