import Engine

/// The encoded prompts of a picture, which its views are conditioned on.
package struct Prompts: Sendable {
    /// A prompt, or a part of one that AND joins.
    package struct Part: Sendable {
        package let embedding: Embedding
        /// By which its guidance is multiplied.
        package let weight: Float

        package init(_ embedding: Embedding, weight: Float = 1) {
            (self.embedding, self.weight) = (embedding, weight)
        }
    }

    /// One, or those that AND joins.
    package let parts: [Part]
    /// Nil when guidance is at most 1 and there is one part of weight 1: then views are evaluated once, with the
    /// prompt alone.
    package let negative: Embedding?
    /// All, by digest.
    package let embeddings: [EmbeddingDigest: Embedding]
    /// Where prompts change: each with the steps that it lasts, of a phase. Empty where they do not.
    private var turns: [(steps: Int, prompts: Prompts)] = []
    /// The same prompts as the refiner reads them, if there is one. An array, because a value cannot hold another of its
    /// own type.
    private var refined: [Prompts] = []

    package init(positive: Embedding, negative: Embedding?) {
        self.init(parts: [Part(positive)], negative: negative)
    }

    /// - Parameters:
    ///   - parts: at least one
    ///   - negative: what guidance steers away from
    package init(parts: [Part], negative: Embedding?) {
        precondition(!parts.isEmpty)
        (self.parts, self.negative) = (parts, negative)
        embeddings = Dictionary(
            (parts.map(\.embedding) + (negative.map { [$0] } ?? [])).map { ($0.digest, $0) }
        ) { first, _ in first }
    }

    /// Prompts that change during the steps of a phase.
    ///
    /// - Parameter turns: at least one, with the steps that each lasts
    package init(turns: [(steps: Int, prompts: Prompts)]) {
        precondition(!turns.isEmpty)
        self = turns[0].prompts
        if turns.count > 1 { self.turns = turns }
    }

    /// These prompts, and how the refiner reads them.
    package func refined(by refiner: Prompts) -> Prompts {
        var prompts = self
        prompts.refined = [refiner]
        return prompts
    }

    /// The prompts as the model reads them, or its refiner.
    func read(byRefiner isRefined: Bool) -> Prompts {
        guard isRefined else { return self }
        guard let own = refined.first else {
            preconditionFailure("the prompts were not encoded for the refiner")
        }
        return own
    }

    /// The prompts of a step of a phase, counted from 0; those of the last steps go on after them.
    package func at(step: Int) -> Prompts {
        var end = 0
        for turn in turns {
            end += turn.steps
            if step < end { return turn.prompts }
        }
        return last
    }

    /// The prompts of the last steps, which refinement uses throughout.
    package var last: Prompts { turns.last?.prompts ?? self }

    package var positive: Embedding { parts[0].embedding }

    /// Whether AND joins parts, or the only one has a weight.
    package var areJoined: Bool { PromptPart.areJoined(parts.map(\.weight)) }

    /// The prompt alone, for views without guidance; parts that AND joins are differences from the negative prompt
    /// even then.
    package var unguided: Prompts {
        areJoined ? self : Prompts(parts: parts, negative: nil)
    }

    /// The conditioning of a view.
    ///
    /// With a picture that is edited there are two scales (Brooks et al., 2023, equation 3): the prediction is that without
    /// picture and prompt, plus the image scale times what the picture changes, plus the guidance scale times what
    /// the prompt's parts change then.
    ///
    /// - Parameters:
    ///   - timeIDs: SDXL's size and crop ids
    ///   - imageScale: guidance by a picture that is edited, as a fraction of the guidance scale; nil for other models
    /// - Returns: the negative prompt's, if there is one, and those of the prompt's parts
    package func conditioning(
        timeIDs: TimeIDs? = nil,
        imageScale: Float? = nil
    ) -> [WorkUnit.Conditioning] {
        var without: [WorkUnit.Conditioning] = []
        if let negative {
            let own = WorkUnit.Conditioning(embedding: negative.digest, timeIDs: timeIDs?.negative)
            without = [own]
            if let imageScale {
                let all = parts.reduce(0) { $0 + $1.weight }
                var (neither, pictureAlone) = (own, own)
                neither.omitsPicture = true
                pictureAlone.weight = imageScale - all
                without = [neither, pictureAlone]
            }
        }
        return without
            + parts.map {
                WorkUnit.Conditioning(
                    embedding: $0.embedding.digest,
                    timeIDs: timeIDs?.positive,
                    weight: $0.weight
                )
            }
    }
}

/// What SDXL is told about sizes, for the prompt and the negative prompt: see `WorkUnit.Conditioning.timeIDs`.
package struct TimeIDs: Equatable, Sendable, ExpressibleByArrayLiteral {
    package let positive: [Float]
    package let negative: [Float]

    /// The same for both.
    package init(arrayLiteral ids: Float...) { self.init(positive: ids, negative: ids) }

    package init(positive: [Float], negative: [Float]) {
        (self.positive, self.negative) = (positive, negative)
    }
}

extension WorkUnit {
    /// A view of one step.
    ///
    /// - Parameters:
    ///   - index: index in the step's list of views, for messages
    ///   - latent: `[1, height, width, channels]`, scaled for the model
    ///   - timestep: of the noise schedule
    ///   - guidance: used only with a negative prompt; at least 1 where AND joins prompts
    ///   - prompts: what it is conditioned on
    ///   - timeIDs: SDXL's size and crop ids; nil for models without them
    ///   - picture: what the network takes beside the latent, `[1, height, width, channels]`
    ///   - imageGuidance: the scale of a picture that is edited; nil for other models
    ///   - place: its position in the render, for messages
    /// - Returns: the unit
    package static func view(
        _ index: Int,
        _ latent: Tensor,
        timestep: Float,
        guidance: Float,
        prompts: Prompts,
        timeIDs: TimeIDs? = nil,
        picture: Tensor? = nil,
        imageGuidance: Float? = nil,
        place: String? = nil
    ) -> WorkUnit {
        let crop = (timeIDs?.positive).map { ", crop \(Int($0[2])),\(Int($0[3]))" } ?? ""
        return WorkUnit(
            .predict(
                View(
                    timestep: timestep,
                    guidance: prompts.areJoined ? max(1, guidance) : guidance,
                    conditioning: prompts.conditioning(
                        timeIDs: timeIDs,
                        imageScale: imageGuidance.map { $0 / guidance }
                    ),
                    pictureChannels: picture?.shape[3] ?? 0
                )
            ),
            input: picture.map { Tensor(channelsOf: latent, and: $0) } ?? latent,
            embeddings: prompts.embeddings,
            name: "view \(index) (\(latent.shape[1])×\(latent.shape[2]) at timestep "
                + "\(timestep)\(crop))" + (place.map { ", \($0)" } ?? "")
        )
    }

    /// A latent to be decoded or a picture to be encoded: whole, or one tile as a part of the whole.
    ///
    /// - Parameters:
    ///   - index: index in the list of tiles, for messages
    ///   - half: whether to decode or to encode
    ///   - input: a latent or a picture, with the margins of the part
    ///   - part: what to compute of a tile; its `attention` is set here
    ///   - attention: tokens of the picture that the tile attends to
    /// - Returns: the unit
    package static func tile(
        _ index: Int,
        _ half: AutoencoderHalf = .decoder,
        _ input: Tensor,
        part: PicturePart? = nil,
        attending attention: [Embedding] = []
    ) -> WorkUnit {
        var part = part
        part?.attention = attention.map(\.digest)
        let task = (part?.norm ?? 0) > 0 ? ", statistics" : ""
        return WorkUnit(
            .autoencode(half, part),
            input: input,
            embeddings: Dictionary(attention.map { ($0.digest, $0) }) { first, _ in first },
            name: "tile \(index) (\(input.shape[1])×\(input.shape[2])\(task))"
        )
    }
}
