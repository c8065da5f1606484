// How often a default render notices a host that answers wrongly, and what its checks cost. Simulated: answers are made
// here, decisions are made as in a render. Prints a table, then one JSON object.

import Coordinator
import Engine
import Foundation
import Protocol
import Sampling

/// SDXL's shape, at which a view costs the same everywhere.
let geometry = ModelGeometry(
    nativeLatentSide: 128,
    vaeFactor: 8,
    latentChannels: 4,
    usesTimeIDs: true
)

let kind = AnswerKind(processor: "CPU", backend: "onednn", precision: "f32", program: "1")

/// When a lying host adds 0.01 to its answer.
enum Liar: String, CaseIterable {
    case everyTenth = "every 10th answer"
    case oneIn200 = "one answer in 200"
    case atOneStep = "at one step of 50"

    func lies(_ number: Int, step: Int) -> Bool {
        switch self {
        case .everyTenth: number % 10 == 0
        case .oneIn200: number % 200 == 100
        case .atOneStep: step % 50 == 30
        }
    }
}

/// A render of two phases of 50 steps, with 9 and 49 views per step, on four hosts, one of which lies as `liar` says.
struct Simulation {
    var state: VerificationState
    let liar: Liar?
    var answered = 0
    var views = 0
    let hosts = (0..<4).map {
        Answerer(worker: "host-\($0)", site: HostID("host \($0)"), kind: kind)
    }
    let prompts: Prompts

    init(seed: UInt64, liar: Liar?, isKnown: Bool, prompts: Prompts) {
        var record = SiteRecord()
        for _ in 0..<(isKnown ? 1000 : 0) { record.note(isGood: true, at: 0) }
        let records = Dictionary(uniqueKeysWithValues: hosts.map { ($0.site, record) })
        state = VerificationState(
            share: .byDefault,
            seed: seed,
            model: geometry,
            records: records
        )
        (self.liar, self.prompts) = (liar, prompts)
    }

    func answer(_ unit: WorkUnit, isLie: Bool, by host: Answerer) -> UnitAnswer {
        let tensor = unit.input.map { isLie ? $0 + 0.01 : $0 }
        return UnitAnswer(unit: unit, result: WorkResult(tensor: tensor), answerer: host)
    }

    /// - Returns: whether the liar was found
    mutating func run() -> Bool {
        for phase in [9, 49] {
            for _ in 0..<50 {
                if judge() { return true }
                let step = state.step
                let answers = (0..<phase).map { place -> UnitAnswer in
                    let host = (place &+ step &* 7) % hosts.count
                    var isLie = false
                    if host == 0, let liar {
                        answered += 1
                        isLie = liar.lies(answered, step: step)
                    }
                    let input = Tensor(
                        (0..<16).map { Float(($0 * 31 + place * 7 + step) % 13) / 4 },
                        shape: [1, 2, 2, 4]
                    )
                    let unit = WorkUnit.view(
                        place,
                        input,
                        timestep: 1,
                        guidance: 7,
                        prompts: prompts
                    )
                    return answer(unit, isLie: isLie, by: hosts[host])
                }
                views += phase
                state.take(answers)
                state.beginStep()
            }
        }
        return judge()
    }

    /// Computes the pending checks on honest hosts.
    private mutating func judge() -> Bool {
        var isFound = false
        for check in state.takePending() {
            let first = check.answer
            let host = hosts.first { $0.site != first.answerer.site && $0 != hosts[0] } ?? hosts[1]
            let good = answer(first.unit, isLie: false, by: host)
            state.spend(first.unit)
            let opinion = Judgement.Opinion(result: good.result, kind: kind)
            if state.isGood(check, beside: opinion) {
                state.good(check, by: good, mayAudit: false, at: 1)
            } else {
                isFound = true
            }
        }
        return isFound
    }
}

let embedding = Embedding(context: Tensor([1, 2], shape: [1, 1, 2]))
let prompts = Prompts(positive: embedding, negative: embedding)
var figures: [String] = []

for isKnown in [true, false] {
    var simulation = Simulation(seed: 1, liar: nil, isKnown: isKnown, prompts: prompts)
    _ = simulation.run()
    let share = Double(simulation.state.summary.evaluations) / Double(2 * simulation.views)
    let name = isKnown ? "verify_overhead" : "verify_overhead_new_hosts"
    print(
        "\(name): \(String(format: "%.4f", share)) more evaluations than with --verify off (bar 0.02)"
    )
    figures.append("\"\(name)\": \(String(format: "%.4f", share))")
}
for isKnown in [true, false] {
    for liar in Liar.allCases {
        let found = (1...100).count { seed in
            var simulation = Simulation(
                seed: UInt64(seed),
                liar: liar,
                isKnown: isKnown,
                prompts: prompts
            )
            return simulation.run()
        }
        let hosts = isKnown ? "known hosts" : "new hosts"
        print("liar_detected_share, \(liar.rawValue), \(hosts): found in \(found) of 100 renders")
        let name = "liar_detected_share_\(liar)\(isKnown ? "" : "_new_hosts")"
        figures.append("\"\(name)\": \(Double(found) / 100)")
    }
}
print("{\(figures.joined(separator: ", "))}")
