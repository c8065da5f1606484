import Engine
import Protocol

/// The networks that a worker computes with.
package protocol ModelHost: AnyObject, Sendable {
    /// What it loaded.
    var identity: ModelIdentity { get }
    /// Names of the numerical backend and of the precision, as on the command line.
    var backend: String { get }
    var precision: String { get }
    /// Threads that compute one unit.
    var threads: Int { get }

    /// Evaluates the UNet.
    ///
    /// - Parameters:
    ///   - latents: `[n, height, width, channels]`
    ///   - timestep: of the noise schedule
    ///   - context: `[n, tokens, width]`
    ///   - pooled: `[n, width]`, for models that want it
    ///   - timeIDs: n times six, for models that want them
    /// - Returns: predictions, shaped as `latents`
    func predict(
        _ latents: Tensor,
        timestep: Float,
        context: Tensor,
        pooled: Tensor?,
        timeIDs: [[Float]]?
    ) throws -> Tensor

    /// Decodes a latent; loads the decoder when it is first asked.
    ///
    /// - Parameter latent: `[1, height, width, channels]`
    /// - Returns: `[1, height · factor, width · factor, 3]`, about −1…1
    func decode(_ latent: Tensor) throws -> Tensor
}

/// A unit with all that its computation needs.
struct Assignment: Sendable {
    let task: CoordinatorMessage.Task
    /// Nil for tiles.
    let prompts: Prompts?

    struct Prompts: Sendable {
        let positive: PromptTensors
        let negative: PromptTensors?
    }
}

/// Computes units, one at a time.
struct UnitRunner {
    let host: any ModelHost

    /// - Returns: the guided prediction, or the picture
    func run(_ assignment: Assignment) throws -> Tensor {
        let task = assignment.task
        switch (task.work, assignment.prompts) {
        case (.decode, _):
            return try host.decode(task.latent)
        case (.predict(let timestep, let guidance, let timeIDs), let prompts?):
            return try predict(
                task.latent,
                timestep: timestep,
                guidance: guidance,
                timeIDs: timeIDs,
                prompts
            )
        case (.predict, nil):
            preconditionFailure("a view without prompts")
        }
    }

    /// uncond + guidance · (text − uncond) from one batch of two, or text alone.
    private func predict(
        _ latent: Tensor,
        timestep: Float,
        guidance: Float,
        timeIDs: [Float]?,
        _ prompts: Assignment.Prompts
    ) throws -> Tensor {
        let text = prompts.positive
        guard let negative = prompts.negative else {
            return try host.predict(
                latent,
                timestep: timestep,
                context: text.context,
                pooled: text.pooled,
                timeIDs: timeIDs.map { [$0] }
            )
        }
        guard negative.context.shape == text.context.shape,
            negative.pooled?.shape == text.pooled?.shape
        else {
            throw InputError(
                "prompt embeddings",
                "the negative one is \(negative.context.shape), the other \(text.context.shape)",
                fix: "Make both with one model"
            )
        }
        var pooled: Tensor?
        if let first = negative.pooled, let second = text.pooled { pooled = stack(first, second) }
        let both = try host.predict(
            stack(latent, latent),
            timestep: timestep,
            context: stack(negative.context, text.context),
            pooled: pooled,
            timeIDs: timeIDs.map { [$0, $0] }
        )
        return guide(both, guidance: guidance, shape: latent.shape)
    }

    /// Two tensors `[1, …]` as one `[2, …]`.
    private func stack(_ a: Tensor, _ b: Tensor) -> Tensor {
        precondition(a.shape == b.shape, "\(a.shape) vs \(b.shape)")
        return Tensor(shape: [2] + a.shape.dropFirst()) { out in
            a.withFloats { a in for i in a.indices { out[i] = a[i] } }
            b.withFloats { b in for i in b.indices { out[a.count + i] = b[i] } }
        }
    }

    /// From `[2, …]`, uncond first.
    private func guide(_ both: Tensor, guidance: Float, shape: [Int]) -> Tensor {
        precondition(both.shape == [2] + shape.dropFirst(), "\(both.shape) for two of \(shape)")
        return Tensor(shape: shape) { out in
            both.withFloats { x in
                for i in out.indices {
                    let uncond = x[i]
                    out[i] = uncond + guidance * (x[out.count + i] - uncond)
                }
            }
        }
    }
}
