/// One of several prompts that AND joins: each guides by itself, with a weight (composable diffusion, Liu et al., 2022,
/// arXiv 2206.01714). Pure.
package struct PromptPart: Equatable, Sendable {
    package let text: String
    package let weight: Float

    /// Maximum number of parts: a worker keeps the embeddings of all, and of the negative prompt.
    package static let maxCount = WorkUnit.View.maxConditionings - 1

    /// The parts of a prompt, as A1111 reads them: `a lake :0.8 AND a boat`. A number behind the last colon of a part is
    /// its weight, even where there is only one part.
    ///
    /// - Parameters:
    ///   - text: the prompt
    ///   - syntax: in plain prompts AND is a word
    /// - Returns: at least one
    package static func parts(of text: String, _ syntax: PromptSyntax) -> [PromptPart] {
        guard syntax == .a1111 else { return [PromptPart(text: text, weight: 1)] }
        return PromptChunks.sections(of: text, at: "AND").map(PromptPart.init(reading:))
    }

    /// Whether prompts of these weights are more than the prompt itself.
    package static func areJoined(_ weights: [Float]) -> Bool { weights != [1] }

    package init(text: String, weight: Float) { (self.text, self.weight) = (text, weight) }

    private init(reading section: String) {
        var end = section[...]
        while end.last?.isWhitespace == true { end.removeLast() }
        if let colon = end.lastIndex(of: ":"),
            let weight = Self.number(end[end.index(after: colon)...])
        {
            var text = end[..<colon]
            while text.last?.isWhitespace == true { text.removeLast() }
            self.init(text: String(text), weight: weight)
        } else {
            self.init(text: String(end), weight: 1)
        }
    }

    /// A decimal number without exponent; nil for anything else.
    private static func number(_ text: Substring) -> Float? {
        let digits = text.drop(while: \.isWhitespace)
        let unsigned = digits.first.map { "+-".contains($0) } == true ? digits.dropFirst() : digits
        guard !unsigned.isEmpty, unsigned != ".",
            unsigned.allSatisfy({ ("0"..."9").contains($0) || $0 == "." }),
            unsigned.count(where: { $0 == "." }) <= 1
        else { return nil }
        // Swift reads neither ".5" nor "5.".
        let sign = digits.first == "-" ? "-" : ""
        return Float(sign + "0" + unsigned + (unsigned.hasSuffix(".") ? "0" : ""))
    }
}
