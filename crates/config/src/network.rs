//! A network, as the configuration says it.

use paquebot_auth::Network;
use serde::{Deserialize, Serialize};

/// An address or `address/bits`, kept as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct NetworkText {
    text: String,
    network: Network,
}

impl NetworkText {
    pub fn network(&self) -> Network {
        self.network
    }
}

impl TryFrom<String> for NetworkText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.parse() {
            Ok(network) => Ok(Self { text, network }),
            Err(error) => Err(format!("{text:?} is {error}")),
        }
    }
}

impl From<NetworkText> for String {
    fn from(network: NetworkText) -> Self {
        network.text
    }
}
