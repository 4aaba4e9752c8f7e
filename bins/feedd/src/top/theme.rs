//! Colours, or none.

use feedd_telemetry::Level;
use ratatui::style::{Color, Modifier, Style};

/// How things look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Theme {
    has_colours: bool,
}

impl Theme {
    /// Without colours.
    pub(super) const PLAIN: Self = Self { has_colours: false };

    /// Without colours when `NO_COLOR` is set to anything (no-color.org).
    pub(super) fn of_environment() -> Self {
        Self { has_colours: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) }
    }

    /// Of a level.
    pub(super) fn level(self, level: Level) -> Style {
        let colour = match level {
            Level::Ok => Color::Green,
            Level::Warning => Color::Yellow,
            Level::Critical => Color::Red,
        };
        self.coloured(colour).add_modifier(Modifier::BOLD)
    }

    /// Of what needs a look.
    pub(super) fn wrong(self) -> Style {
        self.level(Level::Critical)
    }

    /// Of titles and heads.
    pub(super) fn head(self) -> Style {
        self.coloured(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    /// Of what matters less.
    pub(super) fn faint(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// Of what is chosen.
    pub(super) fn chosen(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// Of charts.
    pub(super) fn chart(self) -> Style {
        self.coloured(Color::Cyan)
    }

    fn coloured(self, colour: Color) -> Style {
        if self.has_colours { Style::new().fg(colour) } else { Style::new() }
    }
}
