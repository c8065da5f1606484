import Engine
import Sampling

/// Reports of a render to its caller, on the render's own thread.
package enum RenderReport {
    /// An assumption about the model that its files do not settle; one line of text.
    case notice(String)
    /// The fraction of the init image that has been read, 0…1.
    case reading(path: String, share: Double)
    /// The request passed every check that needs no workers.
    case ready(RenderPlan)
    /// Settings that the model's own file suggests; one line of text.
    case suggestion(String)
    /// The workers are ready.
    case begun(RenderPlan, PromptPair)
    /// The folder in which its state is saved.
    case saves(in: String)
    case progress(RenderEvent)
    /// An error ended it; it can be resumed from this folder.
    case canBeResumed(from: String)
    /// An error ended it before anything was saved.
    case nothingSaved
}
