//! Script tag of a page, with data for the page.

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_SECURITY_POLICY;

use portkeep_contract::development::{PREFIX, SCRIPT};

/// How a browser came to a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Load {
    Get,
    /// Loading it again would send a form again.
    Post,
}

/// Contents of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    App,
    /// A page of ours, for a request that has waited for the longest allowed time.
    Waiting,
}

/// The script tag of a page that is about to be answered.
#[derive(Debug)]
pub(super) struct Script {
    /// The host in the browser's request.
    pub(super) host: String,
    pub(super) load: Load,
    pub(super) content: Content,
    /// State of page contents before the page was made: later changes may be missing from it.
    pub(super) made_of: Option<String>,
}

impl Script {
    /// The tag for the page, whose answer has these headers.
    pub(super) fn tag(&self, headers: &HeaderMap, generation: u64) -> Bytes {
        let attribute = |name: &str, value: &str| format!(" {name}=\"{value}\"");
        let nonce = nonce(headers).map_or_else(String::new, |nonce| attribute("nonce", nonce));
        let made_of = self.made_of.as_deref();
        let made_of = made_of.map_or_else(String::new, |of| attribute("data-made-of", of));
        let load = match self.load {
            Load::Get => "",
            Load::Post => " data-posted",
        };
        let content = match self.content {
            Content::App => "",
            Content::Waiting => " data-waiting",
        };
        // With the host, because a page may have another host in its `<base>`.
        let host = &self.host;
        format!(
            "<script src=\"//{host}{PREFIX}{SCRIPT}\" data-generation=\"{generation}\"{made_of}{load}{content} \
             defer{nonce}></script>"
        )
        .into()
    }
}

/// The nonce that the page's policy requires of scripts.
fn nonce(headers: &HeaderMap) -> Option<&str> {
    let policies = headers
        .get_all(CONTENT_SECURITY_POLICY)
        .iter()
        .filter_map(|policy| policy.to_str().ok());
    let directives: Vec<_> = policies
        .flat_map(|policy| policy.split([';', ',']))
        .collect();
    // The first of these in a policy is the one that counts.
    ["script-src-elem", "script-src", "default-src"]
        .iter()
        .find_map(|wanted| {
            directives.iter().find_map(|directive| {
                let mut words = directive.split_ascii_whitespace();
                words
                    .next()
                    .filter(|name| name.eq_ignore_ascii_case(wanted))?;
                words.find_map(|word| {
                    let nonce = word.strip_prefix("'nonce-")?.strip_suffix('\'')?;
                    let is_nonce =
                        |byte: u8| byte.is_ascii_alphanumeric() || b"+/-_=".contains(&byte);
                    nonce.bytes().all(is_nonce).then_some(nonce)
                })
            })
        })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_page_is_told_what_it_is() {
        let mut script = Script {
            host: "localhost:80".to_owned(),
            load: Load::Get,
            content: Content::App,
            made_of: None,
        };
        let headers = HeaderMap::new();
        assert_eq!(
            script.tag(&headers, 7),
            "<script src=\"//localhost:80/.portkeep/dev.js\" data-generation=\"7\" defer></script>"
        );
        script.made_of = Some("5 0 3".to_owned());
        (script.load, script.content) = (Load::Post, Content::Waiting);
        assert_eq!(
            script.tag(&headers, 7),
            "<script src=\"//localhost:80/.portkeep/dev.js\" data-generation=\"7\" data-made-of=\"5 0 3\" \
             data-posted data-waiting defer></script>"
        );
    }

    #[test]
    fn the_nonce_is_that_of_the_directive_that_counts() {
        let of = |policy: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
            nonce(&headers).map(str::to_owned)
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            of("default-src 'self'; script-src 'nonce-aB+/3='"),
            some("aB+/3=")
        );
        assert_eq!(of("style-src 'nonce-x'; default-src 'nonce-y'"), some("y"));
        assert_eq!(
            of("script-src 'nonce-a' 'self'; script-src-elem 'nonce-b'"),
            some("b")
        );
        assert_eq!(of("script-src 'self'"), None);
        assert_eq!(of("script-src 'nonce-\"><b>'"), None);
    }
}
