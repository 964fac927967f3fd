//! nginx, which has no app behind it: the yardstick of a reload.

use std::fs;
use std::process::Command;

use super::{Running, Tool};
use crate::place::{Kind, Place};
use crate::processes::{Started, run, tree};

pub(super) struct Nginx;

struct Master {
    place: Place,
    process: Started,
}

impl Tool for Nginx {
    fn name(&self) -> &'static str {
        "nginx"
    }

    fn used(&self) -> &'static str {
        "answers by itself, without an app behind it; `nginx -s reload`; keepalive_requests raised, or it would close connections by itself"
    }

    fn version(&self) -> anyhow::Result<String> {
        let output = Command::new("nginx").arg("-v").output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok(said.trim().replace("nginx version: nginx/", "nginx "))
    }

    fn publish(&self, place: &Place, version: &str, kind: Kind) -> anyhow::Result<()> {
        let bad = match kind {
            Kind::Good => "",
            Kind::Panics => "this_is_no_directive;",
            Kind::Crashes => anyhow::bail!("its configuration cannot crash"),
        };
        let directory = place.directory.display();
        let configuration = format!(
            "daemon off;\nworker_processes 2;\npid {directory}/pid;\nerror_log {directory}/log;\nworker_shutdown_timeout 30s;\n\
             events {{ worker_connections 4096; }}\n\
             http {{\n access_log off;\n keepalive_requests 100000000;\n {bad}\n server {{\n  listen {} backlog=4096;\n  http2 on;\n\
             location / {{ add_header x-version {version}; return 200 \"Hello\\n\"; }}\n }}\n}}\n",
            place.address
        );
        fs::write(place.directory.join("nginx.conf"), configuration)?;
        Ok(())
    }

    fn start(&self, place: &Place) -> anyhow::Result<Box<dyn Running>> {
        let mut command = Command::new("nginx");
        command.arg("-c").arg(place.directory.join("nginx.conf"));
        let process = Started::spawn(command, &place.directory.join("log"))?;
        Ok(Box::new(Master {
            place: place.clone(),
            process,
        }))
    }

    fn runs_the_app(&self) -> bool {
        false
    }
}

impl Running for Master {
    fn reload(&mut self) -> anyhow::Result<()> {
        let configuration = self.place.directory.join("nginx.conf");
        let configuration = configuration.to_string_lossy();
        run(["nginx", "-c", &configuration, "-s", "reload"]).map(drop)
    }

    fn own_processes(&self) -> Vec<i32> {
        tree(self.process.pid(), &self.place.app())
    }

    fn stop(self: Box<Self>) {
        self.process.end();
    }
}
