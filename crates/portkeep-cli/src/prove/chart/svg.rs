//! Chart as an SVG file that is readable on light and dark backgrounds.

use std::fmt::Write as _;

use super::{Chart, Column, height};

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 44.0;

pub(super) fn draw(chart: &Chart, title: &str) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"14\">{}</text>\n",
        escape(title)
    );
    reloads(chart, &mut svg);
    axes(chart, &mut svg);
    line(chart, &mut svg, "#c2410c", |column| column.slowest);
    line(chart, &mut svg, "#1d4ed8", |column| column.median);
    failures(chart, &mut svg);
    legend(&mut svg);
    svg.push_str("</svg>\n");
    svg
}

fn x(part: f64) -> f64 {
    LEFT + part * (WIDTH - LEFT - RIGHT)
}

fn y(height: f64) -> f64 {
    HEIGHT - BOTTOM - height * (HEIGHT - TOP - BOTTOM)
}

// Writing to a string cannot fail, here and below.

fn reloads(chart: &Chart, svg: &mut String) {
    for (start, end) in &chart.reloads {
        let width = (x(*end) - x(*start)).max(1.0);
        let _ = writeln!(
            svg,
            "<rect class=\"reload\" x=\"{:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{}\" fill=\"#d4d4d8\"/>",
            x(*start),
            HEIGHT - TOP - BOTTOM
        );
    }
}

fn axes(chart: &Chart, svg: &mut String) {
    let bounds = chart.bounds();
    let mut value = bounds.0;
    while value <= bounds.1 * 1.001 {
        let y = y(height(value, bounds));
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#e4e4e7\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{} ms</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            y + 4.0,
            rounded(value)
        );
        value *= 10.0;
    }
    for tenth in 0..=10 {
        let part = f64::from(tenth) / 10.0;
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{:.0} s</text>",
            x(part),
            HEIGHT - BOTTOM + 18.0,
            chart.lasted.as_secs_f64() * part
        );
    }
}

/// A power of ten without rounding errors.
fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// A line that is interrupted where nothing was answered.
fn line(chart: &Chart, svg: &mut String, colour: &str, value: impl Fn(&Column) -> Option<f64>) {
    let bounds = chart.bounds();
    let count = chart.columns.len().max(1) as f64;
    let mut path = String::new();
    let mut begins = true;
    for (index, column) in chart.columns.iter().enumerate() {
        match value(column) {
            Some(value) => {
                let verb = if begins { 'M' } else { 'L' };
                let _ = write!(
                    path,
                    "{verb}{:.1} {:.1}",
                    x((index as f64 + 0.5) / count),
                    y(height(value, bounds))
                );
                begins = false;
            }
            None => begins = true,
        }
    }
    let _ = writeln!(
        svg,
        "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-linecap=\"round\" stroke-width=\"1.3\"/>"
    );
}

fn failures(chart: &Chart, svg: &mut String) {
    let count = chart.columns.len().max(1) as f64;
    let failed = chart
        .columns
        .iter()
        .enumerate()
        .filter(|(_, column)| column.failed > 0);
    for (index, column) in failed {
        let _ = writeln!(
            svg,
            "<rect class=\"failed\" x=\"{:.1}\" y=\"{}\" width=\"2.5\" height=\"8\" fill=\"#dc2626\"><title>{} failed</title></rect>",
            x(index as f64 / count),
            TOP - 10.0,
            column.failed
        );
    }
}

fn legend(svg: &mut String) {
    let items = [
        ("#c2410c", "slowest"),
        ("#1d4ed8", "median"),
        ("#d4d4d8", "reload"),
        ("#dc2626", "failed"),
    ];
    for (index, (colour, name)) in items.into_iter().enumerate() {
        let left = LEFT + 90.0 * index as f64;
        let bottom = HEIGHT - 12.0;
        let _ = writeln!(
            svg,
            "<rect x=\"{left}\" y=\"{}\" width=\"14\" height=\"6\" fill=\"{colour}\"/><text x=\"{}\" y=\"{bottom}\">{name}</text>",
            bottom - 8.0,
            left + 20.0
        );
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::tests::chart;

    #[test]
    fn reloads_failures_and_gaps_are_drawn() {
        let svg = chart().svg("a <b> & c");
        assert!(svg.contains("a &lt;b&gt; &amp; c"));
        assert_eq!(svg.matches("class=\"reload\"").count(), 1);
        assert_eq!(svg.matches("class=\"failed\"").count(), 1);
        // Single answers are points: no line crosses a time without answers.
        assert_eq!(svg.matches('M').count(), 18);
        assert_eq!(svg.matches("<svg").count(), svg.matches("</svg>").count());
    }
}
