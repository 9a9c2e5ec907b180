#![no_main]
//! A client's SASL messages, whatever they are.
use paquebot_auth::{ChannelBindings, Mechanism, MechanismName};

libfuzzer_sys::fuzz_target!(|messages: Vec<Vec<u8>>| {
    for name in [MechanismName::Plain, MechanismName::Login, MechanismName::ScramSha256] {
        let mut mechanism = Mechanism::new(name, ChannelBindings::default());
        for message in &messages {
            let _ = mechanism.step(message);
        }
    }
});
