//! The user documentation's table of problem codes, in both languages: written from the one table of the code, and
//! compared with it.

use std::path::PathBuf;

use crate::problem::ProblemCode;

#[test]
fn the_documentation_has_every_problem_code() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../web-console/docs"));
    for (language, text) in [("en", english()), ("zh-CN", chinese())] {
        let file = folder.join(language).join("problem-codes.md");
        if std::env::var_os("UPDATE_OPENAPI").is_some_and(|value| value == "1") {
            std::fs::write(&file, &text).expect("the page can be written");
        }
        let committed = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(committed == text, "{} is not current: run the tests with UPDATE_OPENAPI=1", file.display());
    }
}

fn english() -> String {
    let rows = ProblemCode::ALL.iter().map(|&code| {
        let retry = if code.retryable() { "yes" } else { "" };
        format!("| `{}` | {} | {}. {} | {retry} |\n", code.as_str(), code.status(), code.title(), code.doc())
    });
    format!(
        "# Problem codes\n\n\
         An answer that is an error is `application/problem+json` (RFC 9457). Programs switch on `code`; codes are added, never renamed.\n\
         *Retry* means that the same request may succeed later without anybody changing anything.\n\n\
         | code | status | meaning | retry |\n|---|---|---|---|\n{}",
        rows.collect::<String>()
    )
}

fn chinese() -> String {
    let rows = ProblemCode::ALL.iter().map(|&code| {
        let retry = if code.retryable() { "是" } else { "" };
        format!("| `{}` | {} | {} | {retry} |\n", code.as_str(), code.status(), in_chinese(code))
    });
    format!(
        "# 错误码\n\n\
         错误应答为 `application/problem+json`（RFC 9457）。程序依据 `code` 判断；错误码只增加，不改名。*可重试*表示无需任何改动，稍后重发同一请求可能成功。\n\n\
         | 错误码 | 状态 | 含义 | 可重试 |\n|---|---|---|---|\n{}",
        rows.collect::<String>()
    )
}

const fn in_chinese(code: ProblemCode) -> &'static str {
    use ProblemCode as C;
    match code {
        C::MalformedJson => "请求体不是合法的 JSON：不完整、有多余内容、字段重复或嵌套过深",
        C::InvalidParameter => "查询参数或请求头未知，或取值不合法",
        C::InvalidCursor => "游标不是此列表给出的，或排序方式不同",
        C::InvalidTopicFilter => "不是合法的 MQTT 主题过滤器",
        C::NotSignedIn => "没有会话，或会话已结束",
        C::CredentialsWrong => "邮箱或密码错误，不说明是哪一个",
        C::SecondFactorRequired => "密码正确，还需第二因子",
        C::PasswordChangeRequired => "密码正确，但必须先修改密码",
        C::SignatureWrong => "签名与请求不符",
        C::SignatureExpired => "签名时间相差超过五分钟",
        C::NonceReplayed => "该随机数已使用过",
        C::KeyExpired => "密钥已过期",
        C::PermissionDenied => "调用者的角色不允许；`missing_permission` 说明缺少的权限",
        C::ScopeMissing => "API 密钥缺少所需的权限范围",
        C::AddressNotAllowed => "该 API 密钥不能从此地址使用",
        C::OperatorOnly => "仅平台运维可执行",
        C::CsrfFailed => "会话来自 Cookie，而请求头 `X-CSRF-Token` 缺失或错误",
        C::TenantSuspended => "租户已停服：可读，不可修改",
        C::NotFound => "不存在，或属于他人：两者应答相同",
        C::MethodNotAllowed => "该路径不支持此方法",
        C::NotAcceptable => "无法生成任何可接受的媒体类型",
        C::NameTaken => "名称已被占用",
        C::LimitReached => "已达到规格的配额，`limit` 说明是哪一项",
        C::WrongState => "当前状态不允许此操作",
        C::InUse => "仍被其他资源使用",
        C::DeleteProtected => "已开启删除保护，请先关闭",
        C::LastOwner => "租户至少要有一个所有者",
        C::WouldExceedLimits => "现有资源超出所选规格",
        C::HistoryDisabled => "该主题未开启消息存储",
        C::IdempotencyInProgress => "使用同一幂等键的首次调用仍在执行",
        C::RevisionMismatch => "`If-Match` 指定的版本不是当前版本",
        C::BodyTooLarge => "请求体超过 1 MiB",
        C::MediaTypeUnsupported => "请求体的媒体类型不是 `application/json`",
        C::PreconditionRequired => "此处必须带上 `If-Match`",
        C::ValidationFailed => "字段取值不合法，`errors` 逐一指出",
        C::UnknownField => "请求体中有此接口不认识的字段",
        C::TtlOutOfBounds => "有效期超出规格和签名密钥允许的范围；不会被悄悄缩短",
        C::GrantsTooMany => "授权条数超出规格",
        C::AddressForbidden => "平台不允许调用该地址",
        C::IdempotencyMismatch => "该幂等键已用于另一个请求",
        C::RateLimited => "请求过于频繁，`Retry-After` 说明何时再试",
        C::LockedOut => "登录失败次数过多，`Retry-After` 说明何时再试",
        C::Internal => "服务端故障，可凭请求 ID 查找日志",
        C::DatabaseUnavailable => "数据库无应答",
        C::NodeUnavailable => "节点无应答",
        C::QueryTimeout => "请求耗时超出限制",
    }
}
