//! The results as pictures: bars, in SVG.

use std::fmt::Write as _;

use crate::versus::results::Results;
use crate::versus::rows::{By, Row, all};
use crate::versus::table::figure;

const WIDTH: f64 = 900.0;
const LABEL: f64 = 330.0;
const BARS: f64 = 420.0;
const BAR: f64 = 16.0;
const GAP: f64 = 6.0;
/// Ratios from a tenth to a hundred, on a scale of logarithms.
const DECADES: (f64, f64) = (-1.0, 2.0);
const COLOURS: [&str; 7] = ["#1f77b4", "#d97b29", "#e3a04f", "#f0c987", "#5b8c5a", "#8c6bb1", "#888888"];

/// How many times better than the fastest peer each line is, and its goal.
pub fn ratios(results: &Results, names: &[&str]) -> String {
    let standings: Vec<_> = all().filter_map(|row| Some((row, results.standing(row, names.len())?))).collect();
    let mut body = String::new();
    let bottom = 40.0 + standings.len() as f64 * (BAR + GAP);
    for (ratio, name) in [(0.1, "0.1×"), (1.0, "1×"), (10.0, "10×"), (100.0, "100×")] {
        let x = place(ratio);
        let colour = if ratio == 1.0 { "#444" } else { "#ccc" };
        let _ = writeln!(body, "<line x1='{x:.1}' y1='30' x2='{x:.1}' y2='{bottom:.1}' stroke='{colour}'/>");
        text(&mut body, x, 24.0, "middle", name);
    }
    for (line, (row, standing)) in standings.iter().enumerate() {
        let y = 36.0 + line as f64 * (BAR + GAP);
        let (one, end) = (place(1.0), place(standing.ratio.median));
        let colour = if standing.ratio.median >= row.goal { COLOURS[0] } else { COLOURS[1] };
        text(&mut body, LABEL - 8.0, y + 12.0, "end", row.title);
        bar(&mut body, one.min(end), y, (end - one).abs(), colour);
        let goal = place(row.goal);
        let _ = writeln!(
            body,
            "<line x1='{goal:.1}' y1='{:.1}' x2='{goal:.1}' y2='{:.1}' stroke='#b00' stroke-width='2'/>",
            y - 2.0,
            y + BAR + 2.0
        );
        let value = format!("{:.1}× {}", standing.ratio.median, names[standing.peer]);
        text(&mut body, LABEL + BARS + 8.0, y + 12.0, "start", &value);
    }
    document("Paquebot against the fastest peer of each line; the red mark is the goal", bottom + 10.0, &body)
}

/// Every server on some lines: bars as long as their figure, of the longest of the line.
pub fn servers(results: &Results, names: &[&str], title: &str, rows: &[&'static Row]) -> String {
    let (mut body, mut y) = (String::new(), 44.0);
    for row in rows {
        let medians: Vec<(usize, f64)> = (0..names.len())
            .filter_map(|server| {
                Some((server, results.spread(row.key, server, |sample| sample.figure(row.by))?.median))
            })
            .collect();
        let Some(longest) = medians.iter().map(|(_, median)| *median).max_by(f64::total_cmp).filter(|most| *most > 0.0)
        else {
            continue;
        };
        let better = if matches!(row.by, By::Rate | By::Bytes) { "longer is better" } else { "shorter is better" };
        text(&mut body, 10.0, y, "start", &format!("{} ({better})", row.title));
        y += 8.0;
        for (server, median) in medians {
            text(&mut body, 200.0, y + 12.0, "end", names[server]);
            bar(&mut body, 210.0, y, (median / longest * 520.0).max(1.0), COLOURS[server % COLOURS.len()]);
            text(&mut body, 738.0, y + 12.0, "start", &figure(row.by, median));
            y += BAR + 2.0;
        }
        y += 22.0;
    }
    document(title, y, &body)
}

/// Where a ratio lies.
fn place(ratio: f64) -> f64 {
    let (low, high) = DECADES;
    let decades = ratio.max(1e-9).log10().clamp(low, high);
    LABEL + (decades - low) / (high - low) * BARS
}

fn bar(body: &mut String, x: f64, y: f64, width: f64, colour: &str) {
    let _ = writeln!(body, "<rect x='{x:.1}' y='{y:.1}' width='{width:.1}' height='{BAR}' fill='{colour}'/>");
}

fn text(body: &mut String, x: f64, y: f64, anchor: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(body, "<text x='{x:.1}' y='{y:.1}' text-anchor='{anchor}'>{words}</text>");
}

fn document(title: &str, height: f64, body: &str) -> String {
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height:.0}' font-family='sans-serif' font-size='12'>\n\
         <rect width='{WIDTH}' height='{height:.0}' fill='white'/>\n\
         <text x='10' y='16' font-size='14' font-weight='bold'>{title}</text>\n{body}</svg>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::versus::results::Sample;
    use crate::versus::rows::LOADS;

    #[test]
    fn ratios_lie_on_a_scale_with_ends() {
        assert_eq!(place(0.1), LABEL);
        assert_eq!(place(100.0), LABEL + BARS);
        assert_eq!((place(0.0), place(1e6)), (LABEL, LABEL + BARS));
        assert!((place(1.0) - LABEL - BARS / 3.0).abs() < 1e-6);
    }

    #[test]
    fn a_plot_has_a_bar_for_each_server_that_was_measured() {
        let mut results = Results::default();
        let row = &LOADS[0].row;
        for server in 0..2 {
            results.add(row.key, server, 0, Sample { rate: 10.0, ..Sample::default() });
        }
        let names = ["Paquebot", "A & B", "C"];
        let svg = servers(&results, &names, "title", &[row]);
        assert_eq!(svg.matches("<rect x=").count(), 2);
        assert!(svg.contains("A &amp; B") && svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
        assert_eq!(ratios(&results, &names).matches("<rect x=").count(), 1);
    }
}
