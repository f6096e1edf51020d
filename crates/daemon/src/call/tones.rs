//! Keys that come as sound alone, whatever the line had promised: Asterisk's own detector of tones, switched on in the middle of a call.
//!
//! In the window nobody hears the caller (a framehook takes his voice), so that whatever listens behind it (`TALK_DETECT`, `TONE_DETECT`,
//! a snoop: audiohooks) has nothing to hear, and must not. The channel driver's detector alone stands before it
//! (`chan_pjsip_read_stream`, main/dsp.c): no sound leaves Asterisk, and a key that it finds is a key as any other.
//! `PJSIP_DTMF_MODE()` switches it on. Asterisk then offers the line a session without telephone-events; those that come all the same
//! are taken as before (measured, Asterisk 16 and 22).

use ivrpay_dialogue::Keys;

use super::Call;
use crate::events;
use crate::order;

const MODE: &str = "PJSIP_DTMF_MODE()";
const TONES: &str = "inband";

/// As the dialplan gets it, `IVRPAY_KEYS`; nothing where keys came as they should.
pub(super) const fn name(keys: Keys) -> Option<&'static str> {
    match keys {
        Keys::AsSound => Some("as-sound"),
        Keys::Fine => None,
        Keys::NotHeard => Some("not-heard"),
    }
}

impl Call {
    /// Lets Asterisk detect tones, and tells the operator that no key comes; or sets back how it was. Whether tones are detected that
    /// were not before.
    pub(super) async fn listen(&mut self, on: bool) -> bool {
        if !on {
            if let Some(mode) = self.dtmf_mode.take() {
                self.set_mode(&mode).await;
            }
            return false;
        }
        self.shared.events.keys_awaited(&self.about, self.trunk());
        self.say_to_operator(&ivrpay_dialogue::operator::keys_not_heard())
            .await;
        // Another driver detects tones in its own way, or not at all.
        if !self.channel_name.starts_with("PJSIP/") || self.gone {
            return false;
        }
        let (client, channel) = (&self.shared.client, &self.about.channel_id);
        match client.get_variable(channel, MODE).await {
            Ok(Some(mode)) if mode != TONES => {
                let listens = self.set_mode(TONES).await;
                if listens {
                    self.dtmf_mode = Some(mode);
                }
                listens
            }
            Ok(_) => false,
            Err(error) => {
                events::ari_request_failed(&self.about, MODE, &error);
                false
            }
        }
    }

    /// Keys that came as sound, or not at all, are for the admin: the line is named.
    pub(super) fn keys_told(&self, keys: Keys) {
        if let Some(how) = name(keys) {
            events::keys(&self.about, self.trunk(), how);
        }
    }

    async fn set_mode(&self, mode: &str) -> bool {
        if self.gone {
            return false;
        }
        let (client, channel) = (&self.shared.client, &self.about.channel_id);
        let set = client.set_variable(channel, MODE, mode).await;
        if let Err(error) = &set {
            events::ari_request_failed(&self.about, MODE, error);
        }
        set.is_ok()
    }

    /// The endpoint that the caller came by.
    fn trunk(&self) -> &str {
        order::extension_of(&self.channel_name).unwrap_or("Local")
    }
}
