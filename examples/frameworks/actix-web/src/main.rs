//! Run: `portkeep dev --project examples/frameworks/actix-web`, then open http://127.0.0.1:8080/
//!
//! actix-web serves, the library brings the socket and says when to end. Ready: `READY=1` goes out
//! before the server is polled, which is when it begins to accept. End: accepting pauses, each
//! answer says `Connection: close`, and what is still idle after five seconds is closed. To stop at
//! once would drop connections that wait in actix's own queue.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use actix_web::dev::Service;
use actix_web::http::ConnectionType;
use actix_web::{App, HttpServer, rt, web};

static ENDING: AtomicBool = AtomicBool::new(false);

#[actix_web::main]
async fn main() -> io::Result<()> {
    let sockets = portkeep::Sockets::from_env().map_err(io::Error::other)?;
    let listener = if sockets.is_empty() {
        std::net::TcpListener::bind("127.0.0.1:8080")?
    } else {
        sockets.tcp("http").map_err(io::Error::other)?
    };
    let server = HttpServer::new(|| {
        let app = App::new().route("/", web::get().to(hello));
        app.wrap_fn(|request, inner| {
            let answer = inner.call(request);
            async {
                let mut answer = answer.await?;
                if ENDING.load(Relaxed) {
                    let head = answer.response_mut().head_mut();
                    head.set_connection_type(ConnectionType::Close);
                }
                Ok(answer)
            }
        })
    });
    let server = server.listen(listener)?.disable_signals().run();

    let handle = server.handle();
    rt::spawn(async move {
        portkeep::shutdown().await;
        handle.pause().await;
        ENDING.store(true, Relaxed);
        rt::time::sleep(Duration::from_secs(5)).await;
        handle.stop(true).await;
    });
    portkeep::ready().map_err(io::Error::other)?;
    server.await
}

async fn hello() -> String {
    format!("Hello from process {}\n", std::process::id())
}
