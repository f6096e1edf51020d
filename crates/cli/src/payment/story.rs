//! `ivrpay payment story`.

use ivrpay_api::Story;

pub(super) fn show(story: Story) -> anyhow::Result<()> {
    for entry in &story.entries {
        let who = match &entry.via {
            Some(via) => format!("{} ({via})", entry.who),
            None => entry.who.clone(),
        };
        let note = entry.detail.note.as_ref();
        let note = note.map(|note| format!(": {note}")).unwrap_or_default();
        let state = entry
            .detail
            .state
            .map(|state| format!("  [{}]", state.name()));
        say!(
            "{:<24}  {who:<20}  {:<16}  {}{note}{}",
            entry.at,
            entry.what,
            entry.detail.text,
            state.unwrap_or_default()
        );
    }
    Ok(())
}
