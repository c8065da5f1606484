/// One of several prompts joined by AND: each guides on its own, with a weight (composable diffusion, Liu et al., 2022,
/// arXiv 2206.01714). Pure.
package struct PromptPart: Equatable, Sendable {
    package let text: String
    package let weight: Float

    /// Maximum number of parts: a worker keeps the embeddings of all parts and of the negative prompt.
    package static let maxCount = WorkUnit.View.maxConditionings - 1

    /// The parts of a prompt, as A1111 reads them: `a lake :0.8 AND a boat`. A number after the last colon of a part is
    /// its weight, even if there is only one part.
    ///
    /// - Parameters:
    ///   - text: the prompt
    ///   - syntax: how it is read; in plain prompts AND is an ordinary word
    /// - Returns: at least one part
    package static func parts(of text: String, _ syntax: PromptSyntax) -> [PromptPart] {
        guard syntax == .a1111 else { return [PromptPart(text: text, weight: 1)] }
        return PromptChunks.sections(of: text, at: "AND").map(PromptPart.init(reading:))
    }

    /// Whether these are the weights of a joined prompt, rather than of one prompt with a weight of 1.
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

    /// Parses a decimal number without an exponent; nil for anything else.
    private static func number(_ text: Substring) -> Float? {
        let digits = text.drop(while: \.isWhitespace)
        let unsigned = digits.first.map { "+-".contains($0) } == true ? digits.dropFirst() : digits
        guard !unsigned.isEmpty, unsigned != ".",
            unsigned.allSatisfy({ ("0"..."9").contains($0) || $0 == "." }),
            unsigned.count(where: { $0 == "." }) <= 1
        else { return nil }
        // Swift parses neither ".5" nor "5.".
        let sign = digits.first == "-" ? "-" : ""
        return Float(sign + "0" + unsigned + (unsigned.hasSuffix(".") ? "0" : ""))
    }
}
