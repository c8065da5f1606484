import Engine

/// Decides who is wrong when two answers to one unit disagree. Pure.
package struct Judgement: Equatable {
    /// One of the two answers, or a third.
    package struct Opinion {
        let result: WorkResult
        let kind: AnswerKind
        /// Whether this process computed it.
        var isOwn = false

        package init(result: WorkResult, kind: AnswerKind, isOwn: Bool = false) {
            (self.result, self.kind, self.isOwn) = (result, kind, isOwn)
        }
    }

    /// Whether the first answer is wrong, and whether the second is.
    package let firstIsWrong: Bool
    package let secondIsWrong: Bool

    package static let undecided = Judgement(firstIsWrong: false, secondIsWrong: false)

    /// How many times nearer to the third answer one must be if both or neither could be right.
    private static let margin = 4.0

    /// Whether two answers agree: to the byte if their kinds compute the same bytes, otherwise within the tolerance of
    /// both.
    ///
    /// - Parameters:
    ///   - a: an answer
    ///   - b: another
    ///   - gain: factor by which guidance may amplify a difference
    /// - Returns: whether they agree
    package static func areAlike(_ a: Opinion, _ b: Opinion, gain: Double) -> Bool {
        if AnswerDistance.areSame(a.result, b.result) { return true }
        guard !a.kind.computesSameBytes(as: b.kind) else { return false }
        return AnswerDistance.between(a.result, b.result)
            <= a.kind.tolerance(beside: b.kind) * max(1, gain)
    }

    /// Decides between two answers that disagree by means of a third. If it agrees with neither, both are wrong if the
    /// third is of their kind and this process's own; otherwise the one that is much nearer to it is right.
    package static func between(
        _ first: Opinion,
        _ second: Opinion,
        third: Opinion,
        gain: Double
    ) -> Judgement {
        let isFirst = areAlike(first, third, gain: gain)
        let isSecond = areAlike(second, third, gain: gain)
        if isFirst != isSecond {
            return Judgement(firstIsWrong: !isFirst, secondIsWrong: !isSecond)
        }
        if !isFirst, third.isOwn, first.kind.computesSameBytes(as: third.kind),
            second.kind.computesSameBytes(as: third.kind)
        {
            return Judgement(firstIsWrong: true, secondIsWrong: true)
        }
        let a = AnswerDistance.between(first.result, third.result)
        let b = AnswerDistance.between(second.result, third.result)
        if a > margin * b { return Judgement(firstIsWrong: true, secondIsWrong: false) }
        if b > margin * a { return Judgement(firstIsWrong: false, secondIsWrong: true) }
        return undecided
    }
}
