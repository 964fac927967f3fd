//! Requests that wait for the build under way (`portkeep dev --while-building hold`).

use bytes::Bytes;

use super::channel::Channel;

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// This generation answers it.
    Serve,
    /// The generation that is served at this address now answers it.
    Forward(String),
    /// It waited as long as it may: a page that says so.
    Page(Bytes),
}

/// Waits as long as `portkeep dev` lets it. Whatever goes wrong: answering is right.
pub(super) async fn wait(channel: &Channel) -> Verdict {
    let Ok(answer) = channel.ask("hold").await else {
        return Verdict::Serve;
    };
    let is_page = answer.status.is_server_error();
    match answer.into_text().await {
        Ok(text) if is_page => Verdict::Page(text),
        Ok(text) => verdict(&text),
        Err(_) => Verdict::Serve,
    }
}

fn verdict(text: &[u8]) -> Verdict {
    let address = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.trim().strip_prefix("forward "));
    match address {
        Some(address) => Verdict::Forward(address.to_owned()),
        None => Verdict::Serve,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_understood_is_served() {
        assert_eq!(
            verdict(b"forward 127.0.0.1:80\n"),
            Verdict::Forward("127.0.0.1:80".into())
        );
        for text in [&b"serve"[..], b"", b"\xff"] {
            assert_eq!(verdict(text), Verdict::Serve);
        }
    }
}
