import Coordinator
import Foundation
import Sampling

/// What a render is called and how far it is, for others who wait for its endpoint.
struct RenderProgress {
    private(set) var work = "render"
    private var plan: RenderPlan?
    private var phase = 0
    private var views = 0
    private var isDecoding = false

    mutating func take(_ report: RenderReport) {
        switch report {
        case .begun(let plan, _): self.plan = plan
        case .saves(let path): work = "render \(URL(fileURLWithPath: path).lastPathComponent)"
        case .progress(.resumed(let done)): views = done
        case .progress(.phase(let index, _)): phase = index
        case .progress(.view): views += 1
        case .progress(.decoding): isDecoding = true
        case .progress, .notice, .reading, .ready, .suggestion, .canBeResumed: break
        }
    }

    /// Nil before it begins.
    var share: String? {
        guard let plan else { return nil }
        if isDecoding, views >= plan.views { return "decoding" }
        let share = Int(100 * Double(views) / Double(max(1, plan.views)))
        return "\(min(share, 100)) %, phase \(phase + 1) of \(plan.phases.count)"
    }
}
