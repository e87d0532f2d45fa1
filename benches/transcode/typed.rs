//! What generated typed code would be: structs that prost and serde both derive, so
//! that nothing is mapped between two. They keep no unknown member and check no rule,
//! which the transcoder does.

use serde::{Deserialize, Serialize};

#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
pub struct Payments {
    #[prost(message, repeated, tag = "1")]
    pub payments: Vec<Payment>,
}

#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Payment {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    #[prost(string, optional, tag = "3")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buyer_id: Option<String>,
    #[prost(string, optional, tag = "4")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seller_id: Option<String>,
    #[prost(string, optional, tag = "5")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    #[prost(string, optional, tag = "6")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[prost(string, optional, tag = "7")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[prost(string, optional, tag = "8")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    #[prost(string, optional, tag = "9")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    #[prost(string, optional, tag = "10")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone_number: Option<String>,
    #[prost(string, optional, tag = "11")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub street_address: Option<String>,
    #[prost(string, optional, tag = "12")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second_address: Option<String>,
    #[prost(string, optional, tag = "13")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    #[prost(string, optional, tag = "14")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    #[prost(string, optional, tag = "15")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<String>,
    #[prost(string, optional, tag = "16")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country_code: Option<String>,
    #[prost(string, optional, tag = "17")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    #[prost(string, optional, tag = "18")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bank_name: Option<String>,
    #[prost(string, optional, tag = "19")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_number: Option<String>,
    #[prost(string, optional, tag = "20")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routing_number: Option<String>,
    #[prost(string, optional, tag = "21")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub website_url: Option<String>,
    #[prost(string, optional, tag = "22")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback_url: Option<String>,
    #[prost(string, optional, tag = "23")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statement_text: Option<String>,
    #[prost(string, optional, tag = "24")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    #[prost(string, optional, tag = "25")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    #[prost(string, optional, tag = "26")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    #[prost(string, optional, tag = "27")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<String>,
    #[prost(int64, optional, tag = "28")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<i64>,
    #[prost(int64, optional, tag = "29")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fee_amount: Option<i64>,
    #[prost(int64, optional, tag = "30")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tax_amount: Option<i64>,
    #[prost(int64, optional, tag = "31")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net_amount: Option<i64>,
    #[prost(int64, optional, tag = "32")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refunded_amount: Option<i64>,
    #[prost(int64, optional, tag = "33")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<i64>,
    #[prost(int64, optional, tag = "34")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    #[prost(int64, optional, tag = "35")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt_count: Option<i64>,
    #[prost(double, optional, tag = "36")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exchange_rate: Option<f64>,
    #[prost(double, optional, tag = "37")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fee_rate: Option<f64>,
    #[prost(double, optional, tag = "38")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latitude: Option<f64>,
    #[prost(double, optional, tag = "39")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longitude: Option<f64>,
    #[prost(bool, optional, tag = "40")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_test: Option<bool>,
    #[prost(bool, optional, tag = "41")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_settled: Option<bool>,
    #[prost(bool, optional, tag = "42")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_disputed: Option<bool>,
    #[prost(enumeration = "Status", optional, tag = "43")]
    #[serde(with = "status_text", default, skip_serializing_if = "Option::is_none")]
    pub status: Option<i32>,
    #[prost(enumeration = "Method", optional, tag = "44")]
    #[serde(with = "method_text", default, skip_serializing_if = "Option::is_none")]
    pub method: Option<i32>,
    #[prost(enumeration = "Channel", optional, tag = "45")]
    #[serde(with = "channel_text", default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<i32>,
}

#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    prost::Enumeration,
    Serialize,
    Deserialize,
)]
#[repr(i32)]
pub enum Status {
    #[serde(skip)]
    Unspecified = 0,
    #[serde(rename = "pending")]
    Pending = 1,
    #[serde(rename = "paid")]
    Paid = 2,
    #[serde(rename = "failed")]
    Failed = 3,
}

#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    prost::Enumeration,
    Serialize,
    Deserialize,
)]
#[repr(i32)]
pub enum Method {
    #[serde(skip)]
    Unspecified = 0,
    #[serde(rename = "bank-transfer")]
    BankTransfer = 1,
    #[serde(rename = "card")]
    Card = 2,
}

#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    prost::Enumeration,
    Serialize,
    Deserialize,
)]
#[repr(i32)]
pub enum Channel {
    #[serde(skip)]
    Unspecified = 0,
    #[serde(rename = "e-commerce")]
    ECommerce = 1,
    #[serde(rename = "point-of-sale")]
    PointOfSale = 2,
}

/// An enum's field is an `i32` to prost and a text to serde.
macro_rules! enum_text {
    ($module:ident, $enum:ident) => {
        mod $module {
            use serde::{Deserialize, Deserializer, Serialize, Serializer};

            pub(super) fn serialize<S: Serializer>(
                value: &Option<i32>,
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                value.and_then(|n| super::$enum::try_from(n).ok()).serialize(serializer)
            }

            pub(super) fn deserialize<'de, D: Deserializer<'de>>(
                deserializer: D,
            ) -> Result<Option<i32>, D::Error> {
                Ok(Option::<super::$enum>::deserialize(deserializer)?.map(i32::from))
            }
        }
    };
}

enum_text!(status_text, Status);
enum_text!(method_text, Method);
enum_text!(channel_text, Channel);
