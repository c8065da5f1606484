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
    ///   - cancellation: heeded within the evaluation where that is cheap
    /// - Returns: predictions, shaped as `latents`
    /// - Throws: `InputError` when the inputs do not fit the model, `ComputationCancelled`
    func predict(
        _ latents: Tensor,
        timestep: Float,
        context: Tensor,
        pooled: Tensor?,
        timeIDs: [[Float]]?,
        cancellation: Cancellation
    ) throws -> Tensor

    /// Decodes a latent; loads the decoder when it is first asked.
    ///
    /// - Parameters:
    ///   - latent: `[1, height, width, channels]`
    ///   - cancellation: as in `predict`
    /// - Returns: `[1, height · factor, width · factor, 3]`, about −1…1
    /// - Throws: `InputError` when the weights cannot be read or the latent does not fit them,
    ///   `ComputationCancelled`
    func decode(_ latent: Tensor, cancellation: Cancellation) throws -> Tensor
}

/// A unit with all that its computation needs.
package struct Assignment: Sendable {
    package let task: CoordinatorMessage.Task
    /// Nil for tiles.
    package let prompts: Prompts?

    /// The embeddings of a view's job.
    package struct Prompts: Sendable {
        package let positive: PromptTensors
        package let negative: PromptTensors?

        package init(positive: PromptTensors, negative: PromptTensors?) {
            self.positive = positive
            self.negative = negative
        }
    }

    package init(task: CoordinatorMessage.Task, prompts: Prompts?) {
        self.task = task
        self.prompts = prompts
    }
}

/// Computes units, one at a time.
package struct UnitRunner {
    private let host: any ModelHost

    package init(host: any ModelHost) {
        self.host = host
    }

    /// Computes a unit.
    ///
    /// - Returns: the guided prediction, one branch of it, or the picture
    /// - Throws: what the host throws, and `InputError` for prompts that do not fit each other
    package func run(
        _ assignment: Assignment,
        cancellation: Cancellation = Cancellation()
    ) throws -> Tensor {
        let task = assignment.task
        switch (task.work, assignment.prompts) {
        case (.decode, _):
            return try host.decode(task.latent, cancellation: cancellation)
        case (.predict(let view), let prompts?):
            return try predict(task.latent, view, prompts, cancellation)
        case (.predict, nil):
            preconditionFailure("a view without prompts")
        }
    }

    /// uncond + guidance · (text − uncond) from one batch of two, or one branch alone.
    private func predict(
        _ latent: Tensor,
        _ view: CoordinatorMessage.View,
        _ prompts: Assignment.Prompts,
        _ cancellation: Cancellation
    ) throws -> Tensor {
        let text = prompts.positive
        func evaluate(_ latents: Tensor, _ context: Tensor, _ pooled: Tensor?) throws -> Tensor {
            try host.predict(
                latents,
                timestep: view.timestep,
                context: context,
                pooled: pooled,
                timeIDs: view.timeIDs.map { Array(repeating: $0, count: latents.shape[0]) },
                cancellation: cancellation
            )
        }
        guard let negative = prompts.negative, view.branch != .text else {
            return try evaluate(latent, text.context, text.pooled)
        }
        if view.branch == .negative {
            return try evaluate(latent, negative.context, negative.pooled)
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
        let both = try evaluate(
            stack(latent, latent),
            stack(negative.context, text.context),
            pooled
        )
        guard both.shape == [2] + latent.shape.dropFirst() else {
            throw InputError(
                host.identity.path,
                "its UNet makes \(both.shape) of two latents \(latent.shape)",
                fix: "Use a model whose predictions are shaped as its latents"
            )
        }
        return guide(both, guidance: view.guidance, shape: latent.shape)
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
        Tensor(shape: shape) { out in
            both.withFloats { x in
                for i in out.indices {
                    let uncond = x[i]
                    out[i] = uncond + guidance * (x[out.count + i] - uncond)
                }
            }
        }
    }
}
