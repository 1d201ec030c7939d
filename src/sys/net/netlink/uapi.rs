//! Numbers of the kernel's netlink interface, with the names of the kernel's headers.
//!
//! They are grouped by header. A value comes from `libc` if `libc` has it. Most of those are
//! `c_int` there; the constant here has the type of the field that contains it.

use nix::libc::{self, c_int};

/// Converts a number of `libc` to 16 bits. The build fails if it does not fit.
const fn to_u16(number: c_int) -> u16 {
    let [low, high, rest @ ..] = number.to_le_bytes();
    assert!(rest[0] == 0 && rest[1] == 0, "more than 16 bits");
    u16::from_le_bytes([low, high])
}

/// Converts a number of `libc` to 8 bits. The build fails if it does not fit.
const fn to_u8(number: c_int) -> u8 {
    let [low, high] = to_u16(number).to_le_bytes();
    assert!(high == 0, "more than 8 bits");
    low
}

// sys/socket.h
pub(crate) const AF_UNSPEC: u8 = to_u8(libc::AF_UNSPEC);

// linux/netlink.h
pub(crate) const NLMSG_ERROR: u16 = to_u16(libc::NLMSG_ERROR);
pub(crate) const NLMSG_DONE: u16 = to_u16(libc::NLMSG_DONE);
pub(crate) const NLM_F_REQUEST: u16 = to_u16(libc::NLM_F_REQUEST);
pub(crate) const NLM_F_ACK: u16 = to_u16(libc::NLM_F_ACK);
pub(crate) const NLM_F_DUMP: u16 = to_u16(libc::NLM_F_DUMP);
pub(crate) const NLM_F_EXCL: u16 = to_u16(libc::NLM_F_EXCL);
pub(crate) const NLM_F_CREATE: u16 = to_u16(libc::NLM_F_CREATE);
pub(crate) const NLM_F_APPEND: u16 = to_u16(libc::NLM_F_APPEND);
pub(crate) const NLA_F_NESTED: u16 = to_u16(libc::NLA_F_NESTED);
pub(crate) const NLA_F_NET_BYTEORDER: u16 = to_u16(libc::NLA_F_NET_BYTEORDER);
pub(crate) const NLA_TYPE_MASK: u16 = !(NLA_F_NESTED | NLA_F_NET_BYTEORDER);

// linux/rtnetlink.h
pub(crate) use nix::libc::{RTM_GETADDR, RTM_GETLINK, RTM_GETNSID};
pub(crate) use nix::libc::{RTM_NEWADDR, RTM_NEWLINK, RTM_NEWNSID};
pub(crate) const RTEXT_FILTER_SKIP_STATS: u32 = libc::RTEXT_FILTER_SKIP_STATS as u32;

// linux/if_addr.h
pub(crate) use nix::libc::{IFA_ADDRESS, IFA_LOCAL};

// linux/if_link.h
pub(crate) use nix::libc::{
    IFLA_ADDRESS, IFLA_EXT_MASK, IFLA_IFNAME, IFLA_INFO_KIND, IFLA_LINK, IFLA_LINK_NETNSID,
    IFLA_LINKINFO, IFLA_MASTER, IFLA_TARGET_NETNSID,
};

// linux/net_namespace.h
pub(crate) const NETNSA_NSID: u16 = 1;
pub(crate) const NETNSA_FD: u16 = 3;

// linux/netfilter.h
pub(crate) const NFPROTO_UNSPEC: u8 = to_u8(libc::NFPROTO_UNSPEC);
pub(crate) const NFPROTO_INET: u8 = to_u8(libc::NFPROTO_INET);
pub(crate) const NFPROTO_BRIDGE: u8 = to_u8(libc::NFPROTO_BRIDGE);
pub(crate) const NFPROTO_IPV4: u8 = to_u8(libc::NFPROTO_IPV4);
pub(crate) const NFPROTO_IPV6: u8 = to_u8(libc::NFPROTO_IPV6);
pub(crate) const NF_BR_LOCAL_IN: u32 = 1; // linux/netfilter_bridge.h
pub(crate) const NF_BR_FORWARD: u32 = 2;
pub(crate) const NF_BR_LOCAL_OUT: u32 = 3;
pub(crate) const NF_BR_POST_ROUTING: u32 = 4;
pub(crate) const NF_INET_PRE_ROUTING: u32 = libc::NF_INET_PRE_ROUTING as u32;
pub(crate) const NF_INET_FORWARD: u32 = libc::NF_INET_FORWARD as u32;
pub(crate) const NF_INET_POST_ROUTING: u32 = libc::NF_INET_POST_ROUTING as u32;

// linux/netfilter/nfnetlink.h
pub(crate) const NFNL_SUBSYS_CTNETLINK: u16 = to_u16(libc::NFNL_SUBSYS_CTNETLINK);
pub(crate) const NFNL_SUBSYS_IPSET: u16 = to_u16(libc::NFNL_SUBSYS_IPSET);
pub(crate) const NFNL_SUBSYS_NFTABLES: u16 = to_u16(libc::NFNL_SUBSYS_NFTABLES);
pub(crate) const NFNL_MSG_BATCH_BEGIN: u16 = to_u16(libc::NFNL_MSG_BATCH_BEGIN);
pub(crate) const NFNL_MSG_BATCH_END: u16 = to_u16(libc::NFNL_MSG_BATCH_END);
pub(crate) const NFNLGRP_NFTABLES: u32 = libc::NFNLGRP_NFTABLES as u32;

/// The netlink message type of a netfilter command.
///
/// The upper byte is `subsystem` (`NFNL_SUBSYS_…`). The lower byte is `command` (`NFT_MSG_…`,
/// `IPSET_CMD_…`, `IPCTNL_MSG_…`).
pub(crate) const fn nfnl_type(subsystem: u16, command: u16) -> u16 {
    (subsystem << 8) | command
}

// linux/netfilter/nfnetlink_conntrack.h
pub(crate) const IPCTNL_MSG_CT_GET: u16 = 1;
pub(crate) const IPCTNL_MSG_CT_DELETE: u16 = 2;
pub(crate) const IPCTNL_MSG_CT_GET_STATS: u16 = 5;
pub(crate) const CTA_TUPLE_ORIG: u16 = 1;
pub(crate) const CTA_TUPLE_REPLY: u16 = 2;
pub(crate) const CTA_ID: u16 = 12;
pub(crate) const CTA_ZONE: u16 = 18;
pub(crate) const CTA_FILTER: u16 = 25;
pub(crate) const CTA_FILTER_ORIG_FLAGS: u16 = 1;
pub(crate) const CTA_FILTER_REPLY_FLAGS: u16 = 2;
pub(crate) const CTA_FILTER_F_IP_SRC: u32 = 1;
pub(crate) const CTA_FILTER_F_PROTO_NUM: u32 = 1 << 3;
pub(crate) const CTA_FILTER_F_PROTO_SRC_PORT: u32 = 1 << 4;
pub(crate) const CTA_TUPLE_IP: u16 = 1;
pub(crate) const CTA_TUPLE_PROTO: u16 = 2;
pub(crate) const CTA_STATUS: u16 = 3;
pub(crate) const CTA_IP_V4_SRC: u16 = 1;
pub(crate) const CTA_IP_V4_DST: u16 = 2;
pub(crate) const CTA_IP_V6_SRC: u16 = 3;
pub(crate) const CTA_IP_V6_DST: u16 = 4;
pub(crate) const CTA_PROTO_NUM: u16 = 1;
pub(crate) const CTA_PROTO_SRC_PORT: u16 = 2;
pub(crate) const CTA_STATS_GLOBAL_ENTRIES: u16 = 1;

// linux/netfilter/ipset/ip_set.h
pub(crate) const IPSET_PROTOCOL_MIN: u8 = 6;
pub(crate) const IPSET_CMD_CREATE: u16 = 2;
pub(crate) const IPSET_CMD_DESTROY: u16 = 3;
pub(crate) const IPSET_CMD_RENAME: u16 = 5;
pub(crate) const IPSET_CMD_SWAP: u16 = 6;
pub(crate) const IPSET_CMD_LIST: u16 = 7;
pub(crate) const IPSET_CMD_ADD: u16 = 9;
pub(crate) const IPSET_CMD_DEL: u16 = 10;
pub(crate) const IPSET_CMD_HEADER: u16 = 12;
// Attributes of a message.
pub(crate) const IPSET_ATTR_PROTOCOL: u16 = 1;
pub(crate) const IPSET_ATTR_SETNAME: u16 = 2;
pub(crate) const IPSET_ATTR_TYPENAME: u16 = 3;
pub(crate) const IPSET_ATTR_SETNAME2: u16 = 3;
pub(crate) const IPSET_ATTR_REVISION: u16 = 4;
pub(crate) const IPSET_ATTR_FAMILY: u16 = 5;
pub(crate) const IPSET_ATTR_DATA: u16 = 7;
pub(crate) const IPSET_ATTR_ADT: u16 = 8;
// Attributes of a set or an element.
pub(crate) const IPSET_ATTR_IP: u16 = 1;
pub(crate) const IPSET_ATTR_CIDR: u16 = 3;
pub(crate) const IPSET_ATTR_PORT: u16 = 4;
pub(crate) const IPSET_ATTR_PORT_TO: u16 = 5;
pub(crate) const IPSET_ATTR_TIMEOUT: u16 = 6;
pub(crate) const IPSET_ATTR_PROTO: u16 = 7;
pub(crate) const IPSET_ATTR_CADT_FLAGS: u16 = 8;
pub(crate) const IPSET_ATTR_LINENO: u16 = 9;
pub(crate) const IPSET_ATTR_MAXELEM: u16 = 19;
pub(crate) const IPSET_ATTR_IP2: u16 = 20;
pub(crate) const IPSET_ATTR_IFACE: u16 = 23;
pub(crate) const IPSET_ATTR_COMMENT: u16 = 26;
// Attributes of an address.
pub(crate) const IPSET_ATTR_IPADDR_IPV4: u16 = 1;
pub(crate) const IPSET_ATTR_IPADDR_IPV6: u16 = 2;
pub(crate) const IPSET_FLAG_WITH_COMMENT: u32 = 1 << 4;
pub(crate) const IPSET_ERR_FIND_TYPE: i32 = 4098;
pub(crate) const IPSET_ERR_BUSY: i32 = 4100;
pub(crate) const IPSET_ERR_EXIST: i32 = 4103;
pub(crate) const IPSET_ERR_REFERENCED: i32 = 4108;

// linux/netfilter/ipset/ip_set_hash.h
pub(crate) const IPSET_ERR_HASH_FULL: i32 = 4352;

// linux/netfilter/nf_tables.h
pub(crate) const NFT_USERDATA_MAXLEN: usize = libc::NFT_USERDATA_MAXLEN as usize;
pub(crate) const NFT_MSG_GETTABLE: u16 = to_u16(libc::NFT_MSG_GETTABLE);
pub(crate) const NFT_MSG_GETSET: u16 = to_u16(libc::NFT_MSG_GETSET);
pub(crate) const NFT_MSG_NEWTABLE: u16 = to_u16(libc::NFT_MSG_NEWTABLE);
pub(crate) const NFT_MSG_DELTABLE: u16 = to_u16(libc::NFT_MSG_DELTABLE);
pub(crate) const NFT_MSG_NEWCHAIN: u16 = to_u16(libc::NFT_MSG_NEWCHAIN);
pub(crate) const NFT_MSG_GETCHAIN: u16 = to_u16(libc::NFT_MSG_GETCHAIN);
pub(crate) const NFT_MSG_NEWRULE: u16 = to_u16(libc::NFT_MSG_NEWRULE);
pub(crate) const NFT_MSG_GETRULE: u16 = to_u16(libc::NFT_MSG_GETRULE);
pub(crate) const NFT_MSG_DELCHAIN: u16 = to_u16(libc::NFT_MSG_DELCHAIN);
pub(crate) const NFT_MSG_DELRULE: u16 = to_u16(libc::NFT_MSG_DELRULE);
pub(crate) const NFT_MSG_DELSET: u16 = to_u16(libc::NFT_MSG_DELSET);
pub(crate) const NFT_MSG_NEWSET: u16 = to_u16(libc::NFT_MSG_NEWSET);
pub(crate) const NFT_MSG_NEWSETELEM: u16 = to_u16(libc::NFT_MSG_NEWSETELEM);
pub(crate) const NFT_MSG_GETSETELEM: u16 = to_u16(libc::NFT_MSG_GETSETELEM);
pub(crate) const NFT_MSG_DELSETELEM: u16 = to_u16(libc::NFT_MSG_DELSETELEM);
pub(crate) const NFT_MSG_NEWGEN: u16 = to_u16(libc::NFT_MSG_NEWGEN);
pub(crate) const NFT_MSG_GETGEN: u16 = to_u16(libc::NFT_MSG_GETGEN);
pub(crate) const NFTA_LIST_ELEM: u16 = 1;
pub(crate) const NFTA_HOOK_HOOKNUM: u16 = 1;
pub(crate) const NFTA_HOOK_PRIORITY: u16 = 2;
pub(crate) const NFTA_TABLE_NAME: u16 = 1;
pub(crate) const NFTA_TABLE_FLAGS: u16 = 2;
pub(crate) const NFTA_TABLE_OWNER: u16 = 7;
pub(crate) const NFT_TABLE_OWNER: u32 = 1 << 1; // NFT_TABLE_F_OWNER
pub(crate) const NFT_TABLE_F_DORMANT: u32 = 1;
pub(crate) const NFTA_CHAIN_TABLE: u16 = 1;
pub(crate) const NFTA_CHAIN_NAME: u16 = 3;
pub(crate) const NFTA_CHAIN_HOOK: u16 = 4;
pub(crate) const NFTA_CHAIN_POLICY: u16 = 5;
pub(crate) const NFTA_CHAIN_USE: u16 = 6;
pub(crate) const NFTA_CHAIN_TYPE: u16 = 7;
pub(crate) const NFTA_RULE_TABLE: u16 = 1;
pub(crate) const NFTA_RULE_CHAIN: u16 = 2;
pub(crate) const NFTA_RULE_HANDLE: u16 = 3;
pub(crate) const NFTA_RULE_EXPRESSIONS: u16 = 4;
pub(crate) const NFTA_RULE_USERDATA: u16 = 7;
pub(crate) const NFTA_SET_NAME: u16 = 2;
pub(crate) const NFTA_SET_FLAGS: u16 = 3;
pub(crate) const NFTA_SET_KEY_TYPE: u16 = 4;
pub(crate) const NFTA_SET_KEY_LEN: u16 = 5;
pub(crate) const NFTA_SET_ID: u16 = 10;
pub(crate) const NFTA_SET_GC_INTERVAL: u16 = 12;
pub(crate) const NFTA_SET_USERDATA: u16 = 13;
pub(crate) const NFT_SET_TIMEOUT: u32 = 1 << 4;
pub(crate) const NFTA_SET_ELEM_KEY: u16 = 1;
pub(crate) const NFTA_SET_ELEM_DATA: u16 = 2;
pub(crate) const NFTA_SET_ELEM_TIMEOUT: u16 = 4;
pub(crate) const NFTA_SET_ELEM_EXPIRATION: u16 = 5;
pub(crate) const NFTA_SET_ELEM_USERDATA: u16 = 6;
pub(crate) const NFTA_SET_ELEM_LIST_SET: u16 = 2;
pub(crate) const NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;
pub(crate) const NFTA_DATA_VALUE: u16 = 1;
pub(crate) const NFTA_DATA_VERDICT: u16 = 2;
pub(crate) const NFTA_VERDICT_CODE: u16 = 1;
pub(crate) const NFTA_VERDICT_CHAIN: u16 = 2;
pub(crate) const NFTA_EXPR_NAME: u16 = 1;
pub(crate) const NFTA_EXPR_DATA: u16 = 2;
pub(crate) const NFTA_IMMEDIATE_DREG: u16 = 1;
pub(crate) const NFTA_IMMEDIATE_DATA: u16 = 2;
pub(crate) const NFTA_BITWISE_SREG: u16 = 1;
pub(crate) const NFTA_BITWISE_DREG: u16 = 2;
pub(crate) const NFTA_BITWISE_LEN: u16 = 3;
pub(crate) const NFTA_BITWISE_MASK: u16 = 4;
pub(crate) const NFTA_BITWISE_XOR: u16 = 5;
pub(crate) const NFTA_BITWISE_OP: u16 = 6;
pub(crate) const NFTA_CMP_SREG: u16 = 1;
pub(crate) const NFTA_CMP_OP: u16 = 2;
pub(crate) const NFTA_CMP_DATA: u16 = 3;
pub(crate) const NFTA_LOOKUP_SET: u16 = 1;
pub(crate) const NFTA_LOOKUP_SREG: u16 = 2;
pub(crate) const NFTA_LOOKUP_DREG: u16 = 3;
pub(crate) const NFTA_LOOKUP_FLAGS: u16 = 5;
pub(crate) const NFT_LOOKUP_F_INV: u32 = 1;
pub(crate) const NFTA_PAYLOAD_DREG: u16 = 1;
pub(crate) const NFTA_PAYLOAD_BASE: u16 = 2;
pub(crate) const NFTA_PAYLOAD_OFFSET: u16 = 3;
pub(crate) const NFTA_PAYLOAD_LEN: u16 = 4;
pub(crate) const NFTA_META_DREG: u16 = 1;
pub(crate) const NFTA_META_KEY: u16 = 2;
pub(crate) const NFTA_META_SREG: u16 = 3;
pub(crate) const NFTA_CT_DREG: u16 = 1;
pub(crate) const NFTA_CT_KEY: u16 = 2;
pub(crate) const NFT_REG_VERDICT: u32 = libc::NFT_REG_VERDICT as u32;
pub(crate) const NFT_REG32_00: u32 = libc::NFT_REG32_00 as u32;
pub(crate) const NFT_REG32_SIZE: u32 = libc::NFT_REG32_SIZE as u32;
pub(crate) const NFT_CMP_EQ: u32 = libc::NFT_CMP_EQ as u32;
pub(crate) const NFT_CMP_NEQ: u32 = libc::NFT_CMP_NEQ as u32;
pub(crate) const NFT_CMP_LTE: u32 = libc::NFT_CMP_LTE as u32;
pub(crate) const NFT_CMP_GTE: u32 = libc::NFT_CMP_GTE as u32;
pub(crate) const NFT_PAYLOAD_LL_HEADER: u32 = libc::NFT_PAYLOAD_LL_HEADER as u32;
pub(crate) const NFT_PAYLOAD_NETWORK_HEADER: u32 = libc::NFT_PAYLOAD_NETWORK_HEADER as u32;
pub(crate) const NFT_PAYLOAD_TRANSPORT_HEADER: u32 = libc::NFT_PAYLOAD_TRANSPORT_HEADER as u32;
pub(crate) const NFT_META_MARK: u32 = libc::NFT_META_MARK as u32;
pub(crate) const NFT_META_IIFNAME: u32 = libc::NFT_META_IIFNAME as u32;
pub(crate) const NFT_META_OIFNAME: u32 = libc::NFT_META_OIFNAME as u32;
pub(crate) const NFT_META_NFPROTO: u32 = libc::NFT_META_NFPROTO as u32;
pub(crate) const NFT_META_L4PROTO: u32 = libc::NFT_META_L4PROTO as u32;
pub(crate) const NFT_META_PROTOCOL: u32 = libc::NFT_META_PROTOCOL as u32;
pub(crate) const NFT_META_IIF: u32 = libc::NFT_META_IIF as u32;
pub(crate) const NFT_META_OIF: u32 = libc::NFT_META_OIF as u32;
pub(crate) const NFT_META_BRI_IIFNAME: u32 = libc::NFT_META_BRI_IIFNAME as u32;
pub(crate) const NFT_META_BRI_OIFNAME: u32 = libc::NFT_META_BRI_OIFNAME as u32;
pub(crate) const NFT_CT_STATE: u32 = libc::NFT_CT_STATE as u32;
pub(crate) const NFT_CT_DIRECTION: u32 = libc::NFT_CT_DIRECTION as u32;
/// `ct`: what connection tracking has done to the connection (`IPS_…`).
pub(crate) const NFT_CT_STATUS: u32 = 2;
pub(crate) const NFT_SET_INTERVAL: u32 = libc::NFT_SET_INTERVAL as u32;
pub(crate) const NFT_SET_EVAL: u32 = libc::NFT_SET_EVAL as u32;

// linux/netfilter/nf_tables_compat.h: NFTA_TARGET_NAME and NFTA_MATCH_NAME.
pub(crate) const NFTA_XT_NAME: u16 = 1;
