//! A dashboard as Grafana's JSON: classic schema, prometheus data source by variable, nothing that fixes a theme.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::model::{Dashboard, Kind, Marks, Panel, Query, Row};

/// The last version of classic files, as Grafana 12 writes them; later ones turn it into their own when they read it.
const SCHEMA: u32 = 42;
/// All dashboards have this tag, by which they link to each other.
const TAG: &str = "exedra";
const COLUMNS: u32 = 24;

/// The address of a dashboard.
pub(crate) fn uid(slug: &str) -> String {
    format!("exedra-{slug}")
}

/// The whole file.
pub(crate) fn dashboard(dashboard: &Dashboard) -> Result<Value> {
    Ok(json!({
        "id": null,
        "uid": uid(dashboard.slug),
        "title": dashboard.title,
        "description": dashboard.about,
        "tags": [TAG],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": false,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": { "from": "now-1h", "to": "now" },
        "timepicker": {},
        "timezone": "browser",
        "weekStart": "",
        "fiscalYearStartMonth": 0,
        "annotations": { "list": [] },
        "links": [links()],
        "templating": { "list": variables(dashboard.by_plugin) },
        "panels": panels(dashboard)?,
    }))
}

fn links() -> Value {
    json!({
        "type": "dashboards",
        "title": "Exedra",
        "tags": [TAG],
        "asDropdown": true,
        "includeVars": true,
        "keepTime": true,
        "targetBlank": false,
        "icon": "external link",
        "tooltip": "The other dashboards of the hub, for the same time",
        "url": "",
    })
}

fn source() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

fn variables(by_plugin: bool) -> Vec<Value> {
    let mut list = vec![
        json!({
            "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "current": {},
            "hide": 0, "includeAll": false, "multi": false, "options": [], "refresh": 1, "regex": "", "skipUrlSync": false,
        }),
        variable("job", "Job", "label_values(exedra_build_info, job)"),
        variable("instance", "Instance", r#"label_values(exedra_build_info{job=~"$job"}, instance)"#),
    ];
    if by_plugin {
        let plugins = r#"label_values(exedra_plugin_up{job=~"$job", instance=~"$instance"}, plugin)"#;
        list.push(variable("plugin", "Plugin", plugins));
    }
    list
}

/// "All" is what the query finds, never a pattern for everything: `up` and `process_…` are also other jobs'.
fn variable(name: &str, label: &str, query: &str) -> Value {
    json!({
        "name": name, "label": label, "type": "query", "datasource": source(), "definition": query,
        "query": { "qryType": 1, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery" },
        "current": { "text": ["All"], "value": ["$__all"] },
        "includeAll": true, "multi": true, "hide": 0, "options": [], "refresh": 2, "regex": "",
        "skipUrlSync": false, "sort": 1,
    })
}

/// Ids by their titles: two of one number would be two titles whose hashes meet, and one has to be worded anew.
#[derive(Default)]
struct Ids(BTreeMap<u32, String>);

impl Ids {
    fn of(&mut self, title: &str) -> Result<u32> {
        const OFFSET: u32 = 0x811c_9dc5;
        const PRIME: u32 = 0x0100_0193;
        let hash = title.bytes().fold(OFFSET, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(PRIME));
        let id = hash % 1_000_000 + 1;
        let other = self.0.insert(id, title.to_owned());
        ensure!(
            other.is_none(),
            "{title} and {} have one id; word one of them anew",
            other.unwrap_or_default()
        );
        Ok(id)
    }
}

fn panels(dashboard: &Dashboard) -> Result<Vec<Value>> {
    let (mut ids, mut list, mut y) = (Ids::default(), Vec::new(), 0);
    for row in &dashboard.rows {
        let (inside, below) = placed(row, y + 1, &mut ids)?;
        let (nested, beside) = if row.collapsed { (inside, Vec::new()) } else { (Vec::new(), inside) };
        list.push(json!({
            "id": ids.of(row.title)?,
            "type": "row",
            "title": row.title,
            "collapsed": row.collapsed,
            "gridPos": { "h": 1, "w": COLUMNS, "x": 0, "y": y },
            "panels": nested,
        }));
        list.extend(beside);
        y = if row.collapsed { y + 1 } else { below };
    }
    Ok(list)
}

/// The panels of a row from `top` on, left to right and then down, and where the next row begins.
fn placed(row: &Row, top: u32, ids: &mut Ids) -> Result<(Vec<Value>, u32)> {
    let (mut x, mut y, mut height, mut list) = (0, top, 0, Vec::new());
    for given in &row.panels {
        ensure!(given.width <= COLUMNS, "{} is wider than the page", given.title);
        if x + given.width > COLUMNS {
            (x, y, height) = (0, y + height, 0);
        }
        let mut made = panel(given);
        made["id"] = ids.of(&format!("{}/{}", row.title, given.title))?.into();
        made["gridPos"] = json!({ "h": given.kind.height(), "w": given.width, "x": x, "y": y });
        list.push(made);
        x += given.width;
        height = height.max(given.kind.height());
    }
    Ok((list, y + height))
}

fn panel(panel: &Panel) -> Value {
    let mut made = json!({
        "type": panel.kind.plugin(),
        "title": panel.title,
        "description": panel.question,
        "datasource": source(),
        "targets": panel.queries.iter().zip('A'..).map(|(query, at)| target(panel.kind, query, at)).collect::<Vec<_>>(),
        "fieldConfig": { "defaults": defaults(panel), "overrides": [] },
        "options": options(panel),
        "links": panel.more.map(more).into_iter().collect::<Vec<_>>(),
    });
    if panel.kind == Kind::Table {
        made["transformations"] = json!([
            { "id": "merge", "options": {} },
            { "id": "organize", "options": {
                "excludeByName": { "Time": true, "__name__": true },
                "renameByName": columns(&panel.queries),
            } },
        ]);
    }
    made
}

/// A table's columns of values, by the legends of its queries.
fn columns(queries: &[Query]) -> BTreeMap<String, &str> {
    let alone = queries.len() == 1;
    let column = |at: char| if alone { "Value".to_owned() } else { format!("Value #{at}") };
    queries.iter().zip('A'..).map(|(query, at)| (column(at), query.legend.as_str())).collect()
}

fn more(slug: &str) -> Value {
    let url = format!("/d/{}?${{__url_time_range}}&${{__all_variables}}", uid(slug));
    json!({
        "type": "link", "title": "More of this", "url": url, "targetBlank": false, "tooltip": "", "icon": "",
        "tags": [], "asDropdown": false, "includeVars": false, "keepTime": false,
    })
}

fn target(kind: Kind, query: &Query, at: char) -> Value {
    let format = match kind {
        Kind::Heatmap => "heatmap",
        Kind::Table => "table",
        Kind::Stat | Kind::Light | Kind::Lines | Kind::Stack | Kind::Bars => "time_series",
    };
    json!({
        "refId": at.to_string(), "datasource": source(), "expr": query.expression, "legendFormat": query.legend,
        "format": format, "instant": kind.instant(), "range": !kind.instant(), "editorMode": "code",
    })
}

fn defaults(panel: &Panel) -> Value {
    let mut made = json!({ "unit": panel.unit.id(), "min": 0, "thresholds": thresholds(panel), "mappings": [], "noValue": "–" });
    match panel.kind {
        Kind::Lines | Kind::Stack => {
            made["color"] = json!({ "mode": "palette-classic" });
            made["custom"] = json!({
                "drawStyle": "line", "lineWidth": 1, "fillOpacity": if panel.kind == Kind::Stack { 25 } else { 8 },
                "showPoints": "never", "spanNulls": false,
                "stacking": { "group": "A", "mode": if panel.kind == Kind::Stack { "normal" } else { "none" } },
                "thresholdsStyle": { "mode": if panel.marks.is_some() { "dashed" } else { "off" } },
            });
        }
        Kind::Light => {
            made["color"] = json!({ "mode": "thresholds" });
            made["mappings"] = json!([{ "type": "value", "options": {
                "0": { "text": "down", "color": "red", "index": 0 }, "1": { "text": "up", "color": "green", "index": 1 },
            } }]);
        }
        Kind::Stat | Kind::Bars => made["color"] = json!({ "mode": "thresholds" }),
        Kind::Heatmap => made["custom"] = json!({ "scaleDistribution": { "type": "linear" } }),
        Kind::Table => made["custom"] = json!({ "align": "auto", "filterable": true }),
    }
    made
}

/// Without marks every value is drawn in the theme's own text colour.
fn thresholds(panel: &Panel) -> Value {
    let steps = match panel.marks {
        None => json!([{ "color": "text", "value": null }]),
        Some(Marks { warn, bad }) if warn <= bad => json!([
            { "color": "green", "value": null }, { "color": "orange", "value": warn }, { "color": "red", "value": bad },
        ]),
        Some(Marks { warn, bad }) => json!([
            { "color": "red", "value": null }, { "color": "orange", "value": bad }, { "color": "green", "value": warn },
        ]),
    };
    json!({ "mode": "absolute", "steps": steps })
}

fn options(panel: &Panel) -> Value {
    let newest = json!({ "calcs": ["lastNotNull"], "fields": "", "values": false });
    match panel.kind {
        Kind::Stat | Kind::Light => json!({
            "reduceOptions": newest, "colorMode": "value", "orientation": "auto", "textMode": "auto",
            "justifyMode": "auto", "graphMode": if panel.kind == Kind::Stat { "area" } else { "none" },
            "percentChangeColorMode": "standard", "showPercentChange": false, "wideLayout": true,
        }),
        Kind::Lines | Kind::Stack => json!({
            "legend": { "displayMode": "table", "placement": "bottom", "showLegend": true, "calcs": ["lastNotNull", "max"] },
            "tooltip": { "mode": "multi", "sort": "desc" },
        }),
        Kind::Heatmap => json!({
            "calculate": false, "cellGap": 1, "yAxis": { "unit": panel.unit.id(), "axisPlacement": "left" },
            "color": { "mode": "scheme", "scheme": "Oranges", "steps": 64, "exponent": 0.5, "reverse": false, "fill": "dark-orange" },
            "rowsFrame": { "layout": "auto" }, "legend": { "show": true }, "showValue": "never",
            "tooltip": { "mode": "single", "yHistogram": true }, "filterValues": { "le": 1e-9 },
            "exemplars": { "color": "purple" },
        }),
        Kind::Bars => json!({
            "reduceOptions": newest, "displayMode": "basic", "orientation": "horizontal", "showUnfilled": true,
            "valueMode": "color", "minVizHeight": 10, "maxVizHeight": 300, "minVizWidth": 0,
            "legend": { "calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": false },
            "namePlacement": "auto", "sizing": "auto",
        }),
        Kind::Table => {
            json!({ "showHeader": true, "cellHeight": "sm", "frameIndex": 0, "showTypeIcons": false })
        }
    }
}
