//! A page for each plugin that counts something of its own: first what the hub sees of it, then its own numbers.

use super::model::{Dashboard, Kind, Panel, Unit};
use super::promql::{buckets, gauge, grown, quantile, rate};

pub(crate) fn all() -> [Dashboard; 5] {
    [meetings(), deepfake(), live_preview(), public_rooms(), hangouts()]
}

/// What the hub sees of a plugin.
fn seen(plugin: &str) -> [Panel; 6] {
    let only = &format!(r#"plugin="{plugin}""#);
    let failed = &format!(r#"{only}, outcome!="ok""#);
    let lines = |title, unit, question| Panel::new(Kind::Lines, title, unit, question).wide(8);
    [
        Panel::new(Kind::Light, "State", Unit::Count, "Does the plugin take calls on every node?")
            .ask("", format!("min(max by (instance) ({}))", gauge("exedra_plugin_up", only, "instance")))
            .more("plugins"),
        Panel::new(Kind::Stat, "Rooms", Unit::Count, "How many of its rooms have members now?")
            .ask("", gauge("exedra_rooms", only, "")),
        Panel::new(Kind::Stat, "Members", Unit::Count, "How many members have its rooms now?")
            .ask("", gauge("exedra_room_members", only, "")),
        Panel::new(Kind::Stat, "Slowest calls", Unit::Seconds, "How fast are 99 of 100 calls answered?")
            .ask("", quantile(0.99, "exedra_plugin_call_seconds", only, ""))
            .marks(0.25, 1.0)
            .more("plugins"),
        lines("Events", Unit::EventsPerSecond, "What comes in, and what is sent?")
            .ask("in, {{source}}", rate("exedra_events_received_total", only, "source"))
            .ask("out", rate("exedra_events_delivered_total", only, ""))
            .wide(12),
        lines("Calls that did not go well", Unit::PerSecond, "Which requests are refused or fail?")
            .ask("{{kind}} {{outcome}}", rate("exedra_plugin_calls_total", failed, "kind, outcome"))
            .wide(12),
    ]
}

fn meetings() -> Dashboard {
    let lines = |title, question| Panel::new(Kind::Lines, title, Unit::PerSecond, question);
    Dashboard::new(
        "meetings",
        "Exedra: meetings",
        "Do people get into their meetings, and do their votes count.",
    )
    .row("Plugin", seen("meetings"))
    .row(
        "Meetings",
        [
            lines("Joins", "Do people get in? Refused ones are not invited, or the meeting does not exist.")
                .ask("joined", rate("exedra_meetings_joins_total", "", ""))
                .ask("refused", rate("exedra_meetings_refused_joins_total", "", "")),
            lines("Votes", "How many votes are taken, of which kind?")
                .ask("{{kind}}", rate("exedra_meetings_votes_total", "", "kind")),
            lines("Changes of phase", "How often are rooms told of another phase or status?")
                .ask("told", rate("exedra_meetings_phase_changes_total", "", "")),
            Panel::new(Kind::Bars, "In this time", Unit::Count, "How much happened altogether?")
                .ask("joins", grown("exedra_meetings_joins_total", "", ""))
                .ask("refused joins", grown("exedra_meetings_refused_joins_total", "", ""))
                .ask("votes: {{kind}}", grown("exedra_meetings_votes_total", "", "kind"))
                .ask("changes of phase", grown("exedra_meetings_phase_changes_total", "", "")),
        ],
    )
}

fn deepfake() -> Dashboard {
    let lines = |title, question| Panel::new(Kind::Lines, title, Unit::PerSecond, question);
    let share = format!(
        "{} / {}",
        rate("exedra_deepfake_throttled_total", "", "event"),
        rate("exedra_deepfake_updates_total", "", "event")
    );
    Dashboard::new("deepfake", "Exedra: deepfake", "What do detection engines find, and what do people see of it.")
        .row("Plugin", seen("deepfake"))
        .row(
            "Alerts",
            [
                Panel::new(Kind::Bars, "Alerts in this time", Unit::Count, "How many alerts were raised, and how grave?")
                    .ask("{{severity}}", grown("exedra_deepfake_alerts_total", "", "severity"))
                    .wide(8),
                lines("Alerts", "When were alerts raised, and does somebody acknowledge them?")
                    .ask("{{severity}}", rate("exedra_deepfake_alerts_total", "", "severity"))
                    .ask("acknowledged", rate("exedra_deepfake_acknowledgements_total", "", ""))
                    .wide(8),
                lines("Anomalies", "In which modality did something begin to look wrong?")
                    .ask("{{modality}}", rate("exedra_deepfake_anomalies_total", "", "modality"))
                    .wide(8),
            ],
        )
        .row(
            "Stream",
            [
                lines("Updates of engines", "How fast do engines report? A line at 0: an engine is silent.")
                    .ask("{{event}}", rate("exedra_deepfake_updates_total", "", "event"))
                    .wide(8),
                Panel::new(
                    Kind::Lines,
                    "Share that was replaced",
                    Unit::Share,
                    "Which share of updates was overtaken by a newer one before it was sent? High: engines report faster than people need.",
                )
                .ask("{{event}}", share)
                .wide(8),
                Panel::new(Kind::Lines, "Frames", Unit::BytesPerSecond, "How many bytes of video frames come in?")
                    .ask("taken", rate("exedra_deepfake_frame_bytes_total", "", ""))
                    .wide(8),
            ],
        )
}

fn live_preview() -> Dashboard {
    let lines = |title, unit, question| Panel::new(Kind::Lines, title, unit, question);
    Dashboard::new("live-preview", "Exedra: live preview", "Are sessions tracked, and does somebody look.")
        .row("Plugin", seen("live-preview"))
        .row(
            "Sessions",
            [
                lines(
                    "Sessions",
                    Unit::PerSecond,
                    "Do sessions that begin end with a submission, or in silence (idle)?",
                )
                .ask("{{what}}", rate("exedra_live_preview_sessions_total", "", "what")),
                lines(
                    "Viewers and projects",
                    Unit::PerSecond,
                    "Do owners come to look, and are projects made?",
                )
                .ask("viewers joined", rate("exedra_live_preview_joins_total", "", ""))
                .ask("projects made", rate("exedra_live_preview_projects_total", "", "")),
            ],
        )
        .row(
            "Events of trackers",
            [
                lines(
                    "Stored and shown",
                    Unit::EventsPerSecond,
                    "How much do trackers send, and how much of it is shown live?",
                )
                .ask("stored", rate("exedra_live_preview_events_total", "", ""))
                .ask("shown", rate("exedra_live_preview_events_shown_total", "", "")),
                lines(
                    "Not shown",
                    Unit::EventsPerSecond,
                    "Why are events stored only? batch: more at once than are shown; rate: more in a second.",
                )
                .ask("{{reason}}", rate("exedra_live_preview_events_skipped_total", "", "reason")),
            ],
        )
}

fn public_rooms() -> Dashboard {
    let lines = |title, unit, question| Panel::new(Kind::Lines, title, unit, question);
    Dashboard::new(
        "public-rooms",
        "Exedra: public rooms",
        "Who is in anonymous rooms, who is turned away, who has gone silent.",
    )
    .row("Plugin", seen("public-rooms"))
    .row(
        "Rooms",
        [
            lines("Connections", Unit::Count, "How many anonymous connections does each node have?")
                .ask("{{instance}}", gauge("exedra_public_rooms_connections", "", "instance")),
            lines("Joins", Unit::PerSecond, "How many people enter rooms?")
                .ask("joined", rate("exedra_public_rooms_joins_total", "", "")),
            lines(
                "Errors that clients were told of",
                Unit::PerSecond,
                "What goes wrong for clients? TOO_MANY_CONNECTIONS: one address wants more than its share.",
            )
            .ask("{{code}}", rate("exedra_public_rooms_errors_total", "", "code")),
            Panel::new(Kind::Bars, "Errors in this time", Unit::Count, "Which errors are frequent?")
                .ask("{{code}}", grown("exedra_public_rooms_errors_total", "", "code")),
        ],
    )
    .row(
        "Silent connections",
        [
            lines(
                "Pings and answers",
                Unit::PerSecond,
                "Do silent connections answer? Pings without answers end in CONNECTION_TIMEOUT.",
            )
            .ask("pings", rate("exedra_public_rooms_pings_total", "", ""))
            .ask("answers", rate("exedra_public_rooms_pong_seconds_count", "", "")),
            lines(
                "Time to the answer",
                Unit::Seconds,
                "How fast do clients answer a ping? It is the round trip, and the client's own time.",
            )
            .ask("median", quantile(0.5, "exedra_public_rooms_pong_seconds", "", ""))
            .ask("99 %", quantile(0.99, "exedra_public_rooms_pong_seconds", "", "")),
            Panel::new(
                Kind::Heatmap,
                "Answers by time",
                Unit::Seconds,
                "Is there a group of clients far away?",
            )
            .ask("{{le}}", buckets("exedra_public_rooms_pong_seconds", "", ""))
            .wide(24),
        ],
    )
}

fn hangouts() -> Dashboard {
    let lines = |title, question| Panel::new(Kind::Lines, title, Unit::PerSecond, question);
    Dashboard::new(
        "hangouts",
        "Exedra: hangouts",
        "Who joins and leaves, are rooms full, and are links told.",
    )
    .row("Plugin", seen("hangouts"))
    .row(
        "Rooms",
        [
            lines("Joins and leaves", "Do people come and go, and do full rooms turn them away?")
                .ask("joined", rate("exedra_hangouts_joins_total", "", ""))
                .ask("left", rate("exedra_hangouts_leaves_total", "", ""))
                .ask("room was full", rate("exedra_hangouts_refused_joins_total", "", "")),
            lines("Updates", "What are links told of?")
                .ask("{{event}}", rate("exedra_hangouts_updates_total", "", "event")),
            lines("Links closed from this side", "Why are links closed: refused at the door, or idle?")
                .ask("{{why}}", rate("exedra_hangouts_closed_links_total", "", "why")),
            Panel::new(Kind::Bars, "In this time", Unit::Count, "How much happened altogether?")
                .ask("joins", grown("exedra_hangouts_joins_total", "", ""))
                .ask("leaves", grown("exedra_hangouts_leaves_total", "", ""))
                .ask("refused joins", grown("exedra_hangouts_refused_joins_total", "", ""))
                .ask("links closed: {{why}}", grown("exedra_hangouts_closed_links_total", "", "why")),
        ],
    )
}
