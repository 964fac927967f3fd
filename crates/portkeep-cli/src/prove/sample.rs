//! Observations of one client.

use std::collections::BTreeMap;
use std::time::Duration;

use super::failure::Failure;

/// One request, message or event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sample {
    /// When it was due, since the beginning of the run.
    pub(crate) start: Duration,
    /// How long it took, until its last byte or its failure.
    pub(crate) took: Duration,
    /// The failure, or the number of the version that answered (see [`Observations::versions`]).
    pub(crate) outcome: Result<Option<u16>, Failure>,
}

impl Sample {
    /// When it ended.
    pub(crate) fn end(&self) -> Duration {
        self.start + self.took
    }
}

/// Observations of all clients.
#[derive(Debug, Default)]
pub(crate) struct Observations {
    pub(crate) samples: Vec<Sample>,
    /// Names of versions, by number.
    pub(crate) versions: Vec<String>,
    pub(crate) connections: Connections,
    /// Number of answers by status.
    pub(crate) statuses: BTreeMap<u16, u64>,
}

/// What happened to connections.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Connections {
    /// Opened connections.
    pub(crate) opened: u64,
    /// Connections that the server ended as the protocol says: it closed an idle one, or sent `Connection: close`, GOAWAY,
    /// a close frame, or the end of a stream.
    pub(crate) told: u64,
    /// Connections that ended in the middle of something.
    pub(crate) cut: u64,
    /// Number of the former, by the way that they ended.
    pub(crate) how: BTreeMap<String, u64>,
    /// Requests that waited on a connection that got GOAWAY before they were sent, and went over another one.
    pub(crate) moved_by_goaway: u64,
}

impl Connections {
    pub(crate) fn told(&mut self, how: &str) {
        self.told += 1;
        *self.how.entry(how.to_owned()).or_default() += 1;
    }

    fn add(&mut self, other: Self) {
        self.opened += other.opened;
        self.told += other.told;
        self.cut += other.cut;
        self.moved_by_goaway += other.moved_by_goaway;
        for (how, count) in other.how {
            *self.how.entry(how).or_default() += count;
        }
    }
}

impl Observations {
    /// The number of a version.
    pub(crate) fn version(&mut self, name: &str) -> u16 {
        let known = self.versions.iter().position(|version| version == name);
        let index = known.unwrap_or_else(|| {
            self.versions.push(name.to_owned());
            self.versions.len() - 1
        });
        // More than 65,535 versions would be a header that is not a version.
        u16::try_from(index).unwrap_or(u16::MAX)
    }

    /// Adds the observations of another client.
    pub(crate) fn add(&mut self, other: Self) {
        let numbers: Vec<u16> = other
            .versions
            .iter()
            .map(|name| self.version(name))
            .collect();
        let renumbered = other.samples.into_iter().map(|mut sample| {
            if let Ok(Some(version)) = &mut sample.outcome {
                *version = numbers
                    .get(usize::from(*version))
                    .copied()
                    .unwrap_or(u16::MAX);
            }
            sample
        });
        self.samples.extend(renumbered);
        self.connections.add(other.connections);
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_keep_their_names_when_clients_are_added_up() {
        let mut all = Observations::default();
        for names in [["a", "b"], ["b", "c"]] {
            let mut one = Observations::default();
            for name in names {
                let version = one.version(name);
                one.samples.push(Sample {
                    start: Duration::ZERO,
                    took: Duration::ZERO,
                    outcome: Ok(Some(version)),
                });
            }
            one.connections.told("goaway");
            all.add(one);
        }
        let named: Vec<_> = all
            .samples
            .iter()
            .map(|sample| all.versions[usize::from(sample.outcome.unwrap().unwrap())].as_str())
            .collect();
        assert_eq!(named, ["a", "b", "b", "c"]);
        assert_eq!(all.connections.how["goaway"], 2);
    }
}
