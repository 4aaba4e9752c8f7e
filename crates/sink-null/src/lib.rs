//! sink-null
