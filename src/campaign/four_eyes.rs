//! Whether what decides in a campaign needs a second person.

/// How it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FourEyes {
    #[default]
    Off,
    On,
    /// It was made so, and its first revision waits for its approval: it is paused until then.
    Waiting,
}

impl FourEyes {
    pub fn is_on(self) -> bool {
        self != Self::Off
    }

    /// As the database has it.
    pub fn number(self) -> i64 {
        match self {
            Self::Off => 0,
            Self::On => 1,
            Self::Waiting => 2,
        }
    }

    /// What a later release may mean by another number is not less than this.
    pub fn of(number: i64) -> Self {
        match number {
            0 => Self::Off,
            2 => Self::Waiting,
            _ => Self::On,
        }
    }
}
