//! Leaks on purpose, of this crate: see `ivrpay_secret::plant`. Only in a build with the feature `plant`.

use ivrpay_ari::PlaybackId;
use ivrpay_secret::plant;

use super::Call;

impl Call {
    /// As a careless developer would at the end of a call.
    pub(super) async fn leak(&self) {
        let keyed = plant::keyed();
        let (client, channel) = (&self.shared.client, &self.about.channel_id);
        if plant::is("variable") {
            drop(client.set_variable(channel, "CARD", &keyed).await);
        }
        if plant::is("media")
            && let Ok(playback) = PlaybackId::new("planted")
        {
            let media = format!("digits:{keyed}");
            drop(client.play(channel, &playback, &[&media], None).await);
        }
        self.shared.events.planted(&self.about, &keyed);
    }
}
