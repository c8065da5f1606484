import Coordinator
import Foundation
import Sampling

/// The purpose for which a process needs workers.
package enum CoordinatorRole: Sendable {
    case render
    /// Jobs of clients, idle in between.
    case service
    case test
}

/// Name and progress of a coordinator, for others who wait for its endpoint.
struct RenderProgress {
    private(set) var work: String
    let role: CoordinatorRole
    private var plan: RenderPlan?
    private var phase = 0
    private var views = 0
    private var isDecoding = false

    init(_ role: CoordinatorRole = .render) {
        self.role = role
        work =
            switch role {
            case .render: "render"
            case .service: "service"
            case .test: "cluster test"
            }
    }

    mutating func take(_ report: RenderReport) {
        switch report {
        case .begun(let plan, _): self.plan = plan
        // A service's own folders mean nothing to others.
        case .saves(let path) where role == .render:
            work = "render \(URL(fileURLWithPath: path).lastPathComponent)"
        case .progress(.resumed(let done)): views = done
        case .progress(.phase(let index, _)): phase = index
        case .progress(.view): views += 1
        case .progress(.decoding): isDecoding = true
        case .progress, .notice, .reading, .ready, .suggestion, .canBeResumed, .nothingSaved,
            .saves:
            break
        }
    }

    /// Progress as text; nil before the render begins. A service may run several jobs at a time, so it only says
    /// whether there are any.
    var share: String? {
        if role == .service { return plan == nil ? "idle" : "rendering" }
        guard let plan else { return nil }
        if isDecoding, views >= plan.views { return "decoding" }
        let share = Int(100 * Double(views) / Double(max(1, plan.views)))
        return "\(min(share, 100)) %, phase \(phase + 1) of \(plan.phases.count)"
    }
}
