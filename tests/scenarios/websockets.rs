//! WebSockets that an app hands over live on in the processes of other versions. Of one that does not understand their state, they
//! end with the code that has clients come again.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use portkeep_tests::websocket::{Heard, WebSocket, frame};
use portkeep_tests::{App, Behaviour, Mode, wait_until};

const SOON: Duration = Duration::from_secs(60);
/// Of clients that say something all the time, and of some that say nothing.
const TALKING: usize = 20;
const SILENT: usize = 3;
const RELOADS: u32 = 4;
/// "Service restart".
const RESTART: u16 = 1012;

/// A client that counts along.
struct Counted {
    socket: WebSocket,
    count: u64,
}

/// Who has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Answerer {
    process: String,
    version: String,
}

impl Counted {
    fn connect(app: &App) -> Self {
        Self {
            socket: WebSocket::connect(app.address(), "/count"),
            count: 0,
        }
    }

    /// Says three things at once, one of them long, and pauses in the middle of any of them. Who has answered each.
    fn talk(&mut self) -> [Answerer; 3] {
        let begin = self.count;
        let said = [1, 2, 3].map(|more| {
            let padding = if more == 2 { 3000 } else { 0 };
            format!("message {} {}", begin + more, "x".repeat(padding))
        });
        let bytes: Vec<u8> = said.iter().flat_map(|text| frame(text)).collect();
        let cut = usize::try_from(begin * 37).unwrap() % bytes.len();
        self.socket.send(&bytes[..cut]);
        thread::sleep(Duration::from_millis(2));
        self.socket.send(&bytes[cut..]);
        said.map(|text| self.hear(&text))
    }

    /// The next answer, which has to be that of the next message.
    fn hear(&mut self, text: &str) -> Answerer {
        self.count += 1;
        let Heard::Text(answer) = self.socket.hear() else {
            panic!("closed at message {}", self.count);
        };
        let words: Vec<_> = answer.splitn(4, ' ').collect();
        let [count, process, version, echo] = words[..] else {
            panic!("{answer}");
        };
        assert_eq!((count, echo), (self.count.to_string().as_str(), text));
        Answerer {
            process: process.to_owned(),
            version: version.to_owned(),
        }
    }
}

fn main_process(app: &App) -> String {
    let generations = app.generations();
    let [only] = &generations[..] else {
        panic!("{generations:?}");
    };
    app.manager().property(only, "MainPID")
}

#[test]
fn they_live_on_in_the_next_versions() {
    let app = App::named("counts").serve(&Behaviour::version("v0"));
    let mut silent: Vec<_> = (0..SILENT).map(|_| Counted::connect(&app)).collect();
    let over = AtomicBool::new(false);
    let answered: Vec<_> = (0..TALKING).map(|_| Mutex::new(String::new())).collect();
    let counts: Vec<u64> = thread::scope(|scope| {
        // Whatever fails here must not leave them talking for ever.
        struct Over<'a>(&'a AtomicBool);
        impl Drop for Over<'_> {
            fn drop(&mut self) {
                self.0.store(true, SeqCst);
            }
        }
        let ends = Over(&over);
        let clients = answered.iter().map(|answered| {
            let (app, over) = (&app, &over);
            scope.spawn(move || {
                let mut client = Counted::connect(app);
                while !over.load(SeqCst) {
                    let [.., last] = client.talk();
                    *answered.lock().unwrap() = last.version;
                    thread::sleep(Duration::from_millis(5));
                }
                client.count
            })
        });
        let clients: Vec<_> = clients.collect();
        let all_hear = |version: &str| {
            wait_until(&format!("{version} answers each of them"), SOON, || {
                let is_heard = |one: &Mutex<String>| *one.lock().unwrap() == version;
                let lost = clients.iter().any(|client| client.is_finished());
                (lost || answered.iter().all(is_heard)).then_some(())
            });
        };
        all_hear("v0");
        for reload in 1..=RELOADS {
            let version = format!("v{reload}");
            app.publish(&Behaviour::version(&version));
            let _ = app.portkeep("reload", &[]).expect_success();
            all_hear(&version);
            app.wait_for_only(&app.unit(&format!("@{}.service", reload + 1)), SOON);
        }
        drop(ends);
        let ended = clients.into_iter().map(|client| client.join().unwrap());
        ended.collect()
    });
    // Those that have said nothing are there, too, with the process that serves now.
    let serves = Answerer {
        process: main_process(&app),
        version: format!("v{RELOADS}"),
    };
    for client in &mut silent {
        assert_eq!(client.talk(), [&serves; 3].map(Answerer::clone));
    }
    println!(
        "measured: {TALKING} WebSockets through {RELOADS} reloads: {} messages, each answered once and in order, none closed",
        counts.iter().sum::<u64>()
    );
}

#[test]
fn of_a_version_that_does_not_understand_them_they_end() {
    let app = App::named("counts-anew").serve(&Behaviour::version("v1"));
    let mut clients = [0; 3].map(|_| Counted::connect(&app));
    let [first, second, _silent] = &mut clients;
    first.talk();
    second.talk();
    app.publish(&Behaviour::version("v2").mode(Mode::OtherStates));
    let _ = app.portkeep("reload", &[]).expect_success();
    for client in &mut clients {
        let Heard::Closed(RESTART, reason) = client.socket.hear() else {
            panic!("not closed with {RESTART}");
        };
        assert!(
            reason.starts_with("the next generation has not taken it"),
            "{reason}"
        );
    }
    app.wait_for_only(&app.unit("@2.service"), SOON);
    // Whoever comes again is served, and goes on from there.
    let mut again = Counted::connect(&app);
    again.talk();
    app.publish(&Behaviour::version("v3").mode(Mode::OtherStates));
    let _ = app.portkeep("reload", &[]).expect_success();
    app.wait_for_only(&app.unit("@3.service"), SOON);
    let [answerer, ..] = again.talk();
    assert_eq!(answerer.version, "v3");
}
