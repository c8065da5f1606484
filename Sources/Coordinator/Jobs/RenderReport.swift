import Engine
import Sampling

/// What a render tells its caller as it goes, on the render's own thread.
package enum RenderReport {
    /// Something was assumed of the model because nothing says it; a line for a person.
    case notice(String)
    /// So much of the picture to begin with has been read, 0…1.
    case reading(path: String, share: Double)
    /// Everything that was asked for can be done, as far as is known before there are workers.
    case ready(RenderPlan)
    /// The workers are there.
    case begun(RenderPlan, PromptPair)
    /// The folder in which it is saved where it stands.
    case saves(in: String)
    case progress(RenderEvent)
    /// It was ended by an error, and can be resumed from this folder.
    case canBeResumed(from: String)
}
