/// Wrong answers were found, and the render goes back to a state that depends on none of them: its driver catches this
/// error and continues from `VerifyingRenderer.goBack`.
struct WrongAnswers: Error, CustomStringConvertible {
    /// The first step of which something is discarded.
    let step: Int
    /// Who was wrong, and what follows.
    let reason: String

    var description: String { reason }
}

/// Results of the checks of a render.
package struct CheckSummary: Equatable, Sendable {
    /// A site that gave wrong answers.
    package struct Wrong: Equatable, Sendable {
        package let site: String
        package var workers: Set<String>
        package var answers: Int
    }

    /// Answers that were computed a second time, and denoiser evaluations spent on them.
    package internal(set) var checked = 0
    package internal(set) var evaluations = 0
    package internal(set) var wrong: [Wrong] = []
    /// Checks in which neither answer could be called wrong.
    package internal(set) var undecided = 0
    /// How many times the render went back.
    package internal(set) var returns = 0

    package init() {}

    mutating func addWrong(_ answerer: Answerer) {
        if let place = wrong.firstIndex(where: { $0.site == answerer.site.text }) {
            wrong[place].answers += 1
            wrong[place].workers.insert(answerer.worker)
        } else {
            wrong.append(
                Wrong(site: answerer.site.text, workers: [answerer.worker], answers: 1)
            )
        }
    }

    /// One line for the user; nil if nothing was checked.
    package var line: String? {
        guard checked > 0 else { return nil }
        let answers = wrong.reduce(0) { $0 + $1.answers }
        let names = wrong.map { "\($0.workers.sorted().joined(separator: ", ")) on \($0.site)" }
        return "checked \(checked) \(checked == 1 ? "answer" : "answers"), \(answers) wrong"
            + (names.isEmpty ? "" : " (\(names.joined(separator: "; ")))")
    }
}
