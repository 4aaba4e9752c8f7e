//! sink-parquet
