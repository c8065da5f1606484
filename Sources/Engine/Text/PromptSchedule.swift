/// Prompts that change during the steps: `[from:to:when]`, `[to:when]`, `[from::when]` and `[a|b]`.
///
/// `from` is used up to the step `when`, which is a fraction of the steps if it has a decimal point. Alternatives
/// take turns, step by step. Brackets with neither meaning are left unchanged.
enum PromptSchedule {
    /// The texts of a prompt and how many steps each lasts: one text for all steps if nothing changes.
    static func texts(_ text: String, steps: Int) -> [(text: String, count: Int)] {
        let nodes = Parser(text).nodes()
        guard nodes.contains(where: \.changes) else { return [(text, steps)] }
        var result: [(text: String, count: Int)] = []
        for step in 1...max(1, steps) {
            let now = nodes.map { $0.text(at: step, of: steps) }.joined()
            if result.last?.text == now {
                result[result.count - 1].count += 1
            } else {
                result.append((now, 1))
            }
        }
        return result
    }

    private indirect enum Node {
        case text(String)
        case switching(from: [Node], to: [Node], at: When)
        case alternating([[Node]])

        var changes: Bool { if case .text = self { false } else { true } }

        func text(at step: Int, of steps: Int) -> String {
            func text(_ nodes: [Node]) -> String {
                nodes.map { $0.text(at: step, of: steps) }.joined()
            }
            switch self {
            case .text(let own): return own
            case .switching(let from, let to, let when):
                return text(step <= when.step(of: steps) ? from : to)
            case .alternating(let choices): return text(choices[(step - 1) % choices.count])
            }
        }
    }

    private struct When {
        let value: Double
        let isShare: Bool

        /// - Returns: nil for anything but an unsigned number
        init?(_ text: some StringProtocol) {
            let digits = String(text).filter { !$0.isWhitespace }
            guard !digits.isEmpty, digits.allSatisfy({ ("0"..."9").contains($0) || $0 == "." }),
                let value = Double(digits.hasPrefix(".") ? "0\(digits)" : digits)
            else { return nil }
            (self.value, isShare) = (value, digits.contains("."))
        }

        func step(of steps: Int) -> Int {
            Int(min(Double(steps), isShare ? value * Double(steps) : value))
        }
    }

    /// Recurses to the depth of the brackets, which `PromptLimits` bounds.
    private struct Parser {
        private let characters: [Character]
        /// For each opening bracket, the index of the one that closes it, if any.
        private let closing: [Int?]

        init(_ text: some StringProtocol) {
            characters = Array(text)
            var (closing, open, at): ([Int?], [Int], Int) = (
                Array(repeating: nil, count: characters.count), [], 0
            )
            while at < characters.count {
                switch characters[at] {
                case "\\": at += 1
                case "[": open.append(at)
                case "]": if let start = open.popLast() { closing[start] = at }
                default: break
                }
                at += 1
            }
            self.closing = closing
        }

        func nodes() -> [Node] { nodes(characters[...]) }

        private func nodes(_ text: ArraySlice<Character>) -> [Node] {
            var (nodes, plain): ([Node], String) = ([], "")
            func flush() {
                if !plain.isEmpty { nodes.append(.text(plain)) }
                plain = ""
            }
            var at = text.startIndex
            while at < text.endIndex {
                let character = text[at]
                if character == "\\", at + 1 < text.endIndex {
                    plain += String(text[at...at + 1])
                    at += 2
                    continue
                }
                guard character == "[", let close = closing[at], close < text.endIndex else {
                    plain.append(character)
                    at += 1
                    continue
                }
                let inside = text[(at + 1)..<close]
                at = close + 1
                if let node = node(inside) {
                    flush()
                    nodes.append(node)
                } else {
                    // Brackets that reduce a weight or mean nothing; the text inside may still have a schedule.
                    plain.append("[")
                    let inner = self.nodes(inside)
                    for one in inner {
                        if case .text(let text) = one {
                            plain += text
                        } else {
                            flush()
                            nodes.append(one)
                        }
                    }
                    plain.append("]")
                }
            }
            flush()
            return nodes
        }

        /// Parses the inside of square brackets; nil if it is not a schedule.
        private func node(_ inside: ArraySlice<Character>) -> Node? {
            let choices = Self.split(inside, at: "|")
            if choices.count > 1 { return .alternating(choices.map { nodes($0) }) }
            let parts = Self.split(inside, at: ":")
            guard (2...3).contains(parts.count), let when = When(String(parts[parts.count - 1]))
            else { return nil }
            return parts.count == 2
                ? .switching(from: [], to: nodes(parts[0]), at: when)
                : .switching(from: nodes(parts[0]), to: nodes(parts[1]), at: when)
        }

        /// The parts between separators that no bracket encloses.
        private static func split(
            _ text: ArraySlice<Character>,
            at separator: Character
        ) -> [ArraySlice<Character>] {
            var (parts, start, depth, at): ([ArraySlice<Character>], Int, Int, Int) = (
                [], text.startIndex, 0, text.startIndex
            )
            while at < text.endIndex {
                switch text[at] {
                case "\\": at += 1
                case "[", "(": depth += 1
                case "]", ")": depth -= 1
                case separator where depth == 0:
                    parts.append(text[start..<at])
                    start = at + 1
                default: break
                }
                at += 1
            }
            return parts + [text[start..<text.endIndex]]
        }
    }
}
