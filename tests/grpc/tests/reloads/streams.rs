//! Streams in both directions: their connection moves when they end in time, and drains if they do not.

use std::time::{Duration, Instant};

use grpc_reloads::witness_client::WitnessClient;
use grpc_reloads::{Answer, Question};
use tokio::sync::mpsc::{Sender, channel};
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Streaming};

use crate::manager::{PATIENCE, Process};
use crate::world::World;

struct Talk {
    say: Sender<Question>,
    hear: Streaming<Answer>,
    said: u64,
}

impl Talk {
    async fn begin(client: &mut WitnessClient<Channel>) -> Self {
        let (say, questions) = channel(1);
        let answers = client.talk(ReceiverStream::new(questions)).await;
        Self {
            say,
            hear: answers.unwrap().into_inner(),
            said: 0,
        }
    }

    /// Asks once more, and hears the answer.
    async fn say(&mut self) -> Answer {
        self.said += 1;
        let number = self.said;
        self.say.send(Question { number }).await.unwrap();
        let answer = self.hear.message().await.unwrap().unwrap();
        assert_eq!(answer.number, number);
        answer
    }

    /// Asks no more, and hears the end with its status.
    async fn end(self) {
        let Self { say, mut hear, .. } = self;
        drop(say);
        assert_eq!(hear.message().await.unwrap(), None);
    }
}

async fn ask(client: &mut WitnessClient<Channel>) -> Answer {
    let question = Question { number: 0 };
    client.ask(question).await.unwrap().into_inner()
}

async fn report(mut old: Process) -> String {
    spawn_blocking(move || old.report()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_ends_in_time_moves_with_its_connection() {
    let world = World::new();
    let start = || world.setup(PATIENCE, PATIENCE / 20).start_ready();
    let old = start();
    let mut client = world.client().await;
    let mut talk = Talk::begin(&mut client).await;
    let before = talk.say().await;
    let new = start();
    old.drain();
    // While it is open, all of its connection stays.
    for _ in 0..3 {
        assert_eq!(talk.say().await.process, old.id());
        assert_eq!(ask(&mut client).await.process, old.id());
    }
    talk.end().await;
    let said = report(old).await;
    assert!(
        said.contains("1 moved, 0 idle closed, nothing cut"),
        "{said}"
    );
    let after = ask(&mut client).await;
    assert_eq!((after.process, after.client), (new.id(), before.client));
}

/// From the time on at which nothing moves any more, calls go to the next generation by a connection of their own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_lasts_is_served_to_its_end() {
    let world = World::new();
    // So it drains in the second half.
    let start = || world.setup(PATIENCE, PATIENCE).start_ready();
    let old = start();
    let mut client = world.client().await;
    let mut talk = Talk::begin(&mut client).await;
    let before = talk.say().await;
    let new = start();
    old.drain();
    let deadline = Instant::now() + 2 * PATIENCE;
    loop {
        assert_eq!(talk.say().await.process, old.id());
        match client.ask(Question { number: 0 }).await {
            Ok(answer) if answer.get_ref().process == new.id() => {
                assert_ne!(answer.get_ref().client, before.client);
                break;
            }
            Ok(answer) => assert_eq!(answer.get_ref().process, old.id()),
            // tonic's channel fails the call that finds its connection ending; nothing of it was sent.
            Err(status) => assert_eq!(status.code(), Code::Cancelled, "{status:?}"),
        }
        assert!(Instant::now() < deadline, "{}", old.story());
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(talk.say().await.client, before.client);
    talk.end().await;
    let said = report(old).await;
    assert!(said.contains("0 moved"), "{said}");
    assert!(said.contains("nothing cut"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_without_an_end_is_cut_at_the_deadline() {
    let world = World::new();
    let start = || world.setup(PATIENCE / 10, PATIENCE / 10).start_ready();
    let old = start();
    let mut client = world.client().await;
    let mut talk = Talk::begin(&mut client).await;
    talk.say().await;
    let new = start();
    old.drain();
    assert!(talk.hear.message().await.is_err(), "it is cut");
    let said = report(old).await;
    assert!(said.contains("0 moved"), "{said}");
    assert!(said.contains("cut 1: 1 HTTP/2"), "{said}");
    assert_eq!(ask(&mut client).await.process, new.id());
}
