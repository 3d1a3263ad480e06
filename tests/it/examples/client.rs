//! HTTP as the service's clients speak it.

use std::time::Duration;

use serde_json::{Value, json};

pub(super) struct Client {
    address: String,
    agent: ureq::Agent,
    /// For requests with a body, each on a connection of its own: a server that answers before
    /// it has read all of the body closes the connection, perhaps as the next request is sent.
    once: ureq::Agent,
}

impl Client {
    pub(super) fn new(address: &str) -> Self {
        let config = || {
            ureq::Agent::config_builder()
                .http_status_as_error(false)
                .timeout_global(Some(Duration::from_secs(30)))
                .proxy(None)
        };
        Client {
            address: address.to_owned(),
            agent: config().build().new_agent(),
            once: config().max_idle_connections(0).build().new_agent(),
        }
    }

    pub(super) fn get(&self, path: &str) -> Answer {
        Answer::from(self.agent.get(self.url(path)).call().unwrap())
    }

    pub(super) fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::from(self.once.post(self.url(path)).send_json(body).unwrap())
    }

    pub(super) fn post_text(&self, path: &str, kind: &str, body: &str) -> Answer {
        let request = self.once.post(self.url(path)).header("content-type", kind);
        Answer::from(request.send(body).unwrap())
    }

    pub(super) fn patch(&self, path: &str, body: &Value) -> Answer {
        Answer::from(self.once.patch(self.url(path)).send_json(body).unwrap())
    }

    pub(super) fn delete(&self, path: &str) -> Answer {
        Answer::from(self.agent.delete(self.url(path)).call().unwrap())
    }

    /// Adds a note that must be taken, and tells what became of its bump.
    pub(super) fn add_note(&self, package: &str, text: &str) -> String {
        let note = json!({ "author": "a reader", "text": text });
        let answer = self.post(&format!("/packages/{package}/notes"), &note);
        assert_eq!(answer.status, 201, "{}", answer.body);
        assert_eq!(answer.body["text"], text);
        answer.invalidation.unwrap()
    }

    /// How the cache answered for a package, and the texts of its notes.
    pub(super) fn notes(&self, package: &str) -> (String, Vec<String>) {
        let answer = self.get(&format!("/packages/{package}"));
        assert_eq!(answer.status, 200, "{}", answer.body);
        let notes = answer.body["notes"].as_array().unwrap().iter();
        let texts = notes.map(|note| note["text"].as_str().unwrap().to_owned());
        (answer.cache.unwrap(), texts.collect())
    }

    pub(super) fn queued_bumps(&self) -> u64 {
        self.get("/health").body["cache"]["queued_bumps"].as_u64().unwrap()
    }

    /// `HOST:PORT`
    pub(super) fn host(&self) -> &str {
        self.address.trim_start_matches("http://")
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// `x-cache`
    pub(super) cache: Option<String>,
    /// `x-cache-invalidation`
    pub(super) invalidation: Option<String>,
    pub(super) body: Value,
}

impl Answer {
    fn from(mut response: ureq::http::Response<ureq::Body>) -> Self {
        let header = |name: &str| {
            let value = response.headers().get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        let (cache, invalidation) = (header("x-cache"), header("x-cache-invalidation"));
        let text = response.body_mut().read_to_string().unwrap();
        let body = match text.as_str() {
            "" => Value::Null,
            text => serde_json::from_str(text).unwrap_or_else(|_| panic!("no JSON: {text}")),
        };
        Answer { status: response.status().as_u16(), cache, invalidation, body }
    }

    pub(super) fn is_hit(&self) -> bool {
        self.cache.as_deref() == Some("hit")
    }

    pub(super) fn is_miss(&self) -> bool {
        self.cache.as_deref() == Some("miss")
    }
}
