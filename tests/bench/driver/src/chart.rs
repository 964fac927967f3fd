//! A bar for each tool, as an SVG file that is readable on light and dark ground.

use std::fmt::Write as _;

const WIDTH: f64 = 760.0;
const LEFT: f64 = 250.0;
const RIGHT: f64 = 90.0;
const TOP: f64 = 40.0;
const BAR: f64 = 16.0;
const PITCH: f64 = 26.0;

/// One tool's median, least and most over its rounds; or why it has none.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    pub(crate) tool: String,
    pub(crate) value: Result<(f64, f64, f64), String>,
}

/// The picture.
pub(crate) fn draw(title: &str, bars: &[Bar]) -> String {
    let most = bars.iter().filter_map(|bar| bar.value.as_ref().ok());
    let most = most.map(|(_, _, most)| *most).fold(0.0, f64::max);
    let room = WIDTH - LEFT - RIGHT;
    let x = |value: f64| LEFT + if most > 0.0 { value / most * room } else { 0.0 };
    #[allow(clippy::cast_precision_loss, reason = "a dozen of tools")]
    let top = |index: usize| TOP + PITCH * index as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"16\" y=\"22\" font-size=\"14\">{}</text>\n",
        top(bars.len()) + 8.0,
        escape(title)
    );
    // Writing to a string cannot fail.
    for (index, bar) in bars.iter().enumerate() {
        let (top, colour) = match bar.tool.starts_with("portkeep") {
            true => (top(index), "#1d4ed8"),
            false => (top(index), "#a1a1aa"),
        };
        let middle = top + BAR / 2.0;
        let base = middle + 4.0;
        let name = escape(&bar.tool);
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{base}\" text-anchor=\"end\">{name}</text>",
            LEFT - 8.0
        );
        let (end, label) = match &bar.value {
            Ok((median, least, most)) => {
                let _ = writeln!(
                    svg,
                    "<rect x=\"{LEFT}\" y=\"{top}\" width=\"{:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>",
                    (x(*median) - LEFT).max(1.0)
                );
                if least < most {
                    let _ = writeln!(
                        svg,
                        "<line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{middle}\" y2=\"{middle}\" stroke=\"#18181b\"/>",
                        x(*least),
                        x(*most)
                    );
                }
                (x(*most), crate::render::number(*median))
            }
            Err(why) => (LEFT, why.clone()),
        };
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{base}\">{}</text>",
            end + 6.0,
            escape(&label)
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_in_proportion_and_tools_without_a_value_say_why() {
        let bar = |tool: &str, value| Bar {
            tool: tool.to_owned(),
            value,
        };
        let svg = draw(
            "a < b",
            &[
                bar("portkeep", Ok((5.0, 4.0, 10.0))),
                bar("peer", Ok((10.0, 10.0, 10.0))),
                bar("gone", Err("never".to_owned())),
            ],
        );
        let room = WIDTH - LEFT - RIGHT;
        assert!(svg.contains(&format!("width=\"{room:.1}\"")), "{svg}");
        assert!(
            svg.contains(&format!("width=\"{:.1}\"", room / 2.0)),
            "{svg}"
        );
        assert!(svg.contains("a &lt; b") && svg.contains(">never<"), "{svg}");
        assert_eq!(svg.matches("<line").count(), 1, "{svg}");
    }
}
