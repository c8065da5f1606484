/// One evaluation of a UNet. On an asynchronous device, the input is uploaded when the evaluation is created, `start`
/// enqueues its operations, and only `finish` waits. On other backends `finish` does everything, because all
/// activations of an evaluation are in one block of memory.
final class UNetEvaluation: DenoiserEvaluation {
    private enum Stage {
        case prepared
        /// The input is on the device; `errors` is the UNet's error count at that time.
        case uploaded(UNet.Uploaded, errors: Int)
        case started(Activation)
        case over
    }

    private let unet: UNet
    private let input: UNet.CheckedInput
    private let cancellation: Cancellation
    private var stage = Stage.prepared

    /// - Throws: `DeviceError` if the input could not be uploaded
    init(_ unet: UNet, _ input: UNet.CheckedInput, _ cancellation: Cancellation) throws {
        (self.unet, self.input, self.cancellation) = (unet, input, cancellation)
        if unet.isAsynchronous { stage = try uploaded() }
    }

    private func uploaded() throws -> Stage {
        .uploaded(try unet.upload(input), errors: unet.errors)
    }

    func start() throws {
        guard unet.isAsynchronous else { return }
        try cancellation.check()
        // After a failed evaluation, cached activations may be without content: the prompt, and its keys and values.
        if case .uploaded(_, let errors) = stage, errors != unet.errors { stage = try uploaded() }
        guard case .uploaded(let inputs, _) = stage else { preconditionFailure("not uploaded") }
        stage = .over
        stage = .started(try unet.enqueue(inputs, input.timestep, cancellation))
    }

    func finish() throws -> Tensor {
        guard unet.isAsynchronous else { return try unet.predict(input, cancellation) }
        guard case .started(let prediction) = stage else { preconditionFailure("not started") }
        stage = .over
        try cancellation.check()
        return try unet.download(prediction)
    }
}

/// The steps of an evaluation. Each step reports only the errors of its own operations.
extension UNet {
    /// Arguments whose shapes fit the model.
    struct CheckedInput {
        let latents: Tensor
        let timestep: Float
        let context: Tensor
        /// The pooled prompt and the sinusoids of the sizes.
        let added: Tensor?
        /// The embedded guidance scale.
        let guidance: Tensor?
    }

    /// The arguments on the backend.
    struct Uploaded {
        let latents: Activation
        let context: PromptContext
        let added: Activation?
        let guidance: Activation?
    }

    var isAsynchronous: Bool { backend.isAsynchronous }

    func upload(_ input: CheckedInput) throws -> Uploaded {
        try noting { try backend.checking { onBackend(input, context(of: input)) } }
    }

    /// - Returns: a prediction that may not have been computed yet
    func enqueue(
        _ inputs: Uploaded,
        _ timestep: Float,
        _ cancellation: Cancellation
    ) throws -> Activation {
        try noting { try backend.checking { try apply(inputs, timestep, cancellation) } }
    }

    func download(_ prediction: Activation) throws -> Tensor {
        try noting { try backend.checking { backend.download(prediction) } }
    }

    /// Runs all steps in one, so that their activations are freed together.
    func predict(_ input: CheckedInput, _ cancellation: Cancellation) throws -> Tensor {
        let prompt = context(of: input)
        return try noting {
            try backend.evaluating(input.latents.shape + input.context.shape) {
                backend.download(
                    try apply(onBackend(input, prompt), input.timestep, cancellation)
                )
            }
        }
    }

    private func onBackend(_ input: CheckedInput, _ prompt: PromptContext) -> Uploaded {
        Uploaded(
            latents: backend.upload(input.latents),
            context: prompt,
            added: input.added.map(backend.upload),
            guidance: input.guidance.map(backend.upload)
        )
    }

    private func apply(
        _ inputs: Uploaded,
        _ timestep: Float,
        _ cancellation: Cancellation
    ) throws(ComputationCancelled) -> Activation {
        try network(
            inputs.latents,
            timestep: timestep,
            context: inputs.context,
            added: inputs.added,
            guidance: inputs.guidance,
            cancellation: cancellation
        )
    }
}
