/// Limits on prompts, so that parsing takes bounded time and the recorded prompt is the rendered one. Pure.
package enum PromptLimits {
    /// Maximum size in bytes, ten times what the maximum number of chunks needs.
    package static let maxBytes = 100_000
    /// Maximum number of brackets that are open at once, in A1111's syntax.
    package static let maxDepth = 64
    /// Maximum number of tags such as `<lora:name:0.8>`.
    package static let maxTags = 100
    /// Valid weights of words and of prompts that AND joins: larger ones overflow in the networks.
    package static let weights: ClosedRange<Float> = -100...100

    /// Rejects a prompt that cannot be read or recorded.
    ///
    /// - Parameters:
    ///   - text: the prompt
    ///   - syntax: how it is read
    ///   - flag: the flag that it came from, for errors
    /// - Throws: `InputError` if it is too long, or has a NUL, too many brackets or tags, or a weight out of range
    package static func check(
        _ text: String,
        _ syntax: PromptSyntax,
        flag: String
    ) throws(InputError) {
        let count = text.utf8.count
        guard count <= maxBytes else {
            throw InputError(flag, "it has \(count) bytes", fix: "Use at most \(maxBytes)")
        }
        guard !text.utf8.contains(0) else {
            throw InputError(
                flag,
                "it has a NUL character, at which the picture's record of it would end",
                fix: "Remove it"
            )
        }
        guard syntax == .a1111 else { return }
        guard depth(of: text) <= maxDepth else {
            throw InputError(
                flag,
                "more than \(maxDepth) of its brackets are open at once",
                fix: #"Close them, or write \( and \[ for brackets that mean nothing"#
            )
        }
        let tags = PromptTag.tags(in: text).count
        guard tags <= maxTags else {
            throw InputError(flag, "it has \(tags) tags", fix: "Use at most \(maxTags)")
        }
        for weight in PromptPart.parts(of: text, syntax).map(\.weight)
        where !weights.contains(weight) {
            throw InputError(
                flag,
                "the number after its last colon is its weight, as in A1111, and \(weight) is out of range",
                fix: #"Choose -100 to 100, or put something after the number"#
            )
        }
    }

    /// Rejects word weights that are out of range or NaN.
    ///
    /// - Throws: `InputError` naming the weight
    static func check(_ fragments: [PromptFragment], flag: String) throws(InputError) {
        for case .text(let text, let weight) in fragments where !weights.contains(weight) {
            throw InputError(
                flag,
                "the weight of '\(text.prefix(40))' is \(weight)",
                fix: "Choose -100 to 100"
            )
        }
    }

    /// The maximum number of brackets of A1111's syntax that are open at once.
    static func depth(of text: String) -> Int {
        var (rounds, squares, most, isEscaped) = (0, 0, 0, false)
        for byte in text.utf8 {
            guard !isEscaped else {
                isEscaped = false
                continue
            }
            switch byte {
            case UInt8(ascii: "\\"): isEscaped = true
            case UInt8(ascii: "("): rounds += 1
            case UInt8(ascii: "["): squares += 1
            case UInt8(ascii: ")"): rounds = max(0, rounds - 1)
            case UInt8(ascii: "]"): squares = max(0, squares - 1)
            default: break
            }
            most = max(most, rounds + squares)
        }
        return most
    }
}
