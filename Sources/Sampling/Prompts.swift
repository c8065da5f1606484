import Engine

/// The encoded prompts of a picture: the conditioning of its views.
package struct Prompts: Sendable {
    /// A prompt, or one part of a prompt that consists of several joined by AND.
    package struct Part: Sendable {
        package let embedding: Embedding
        /// Multiplies the guidance of this part.
        package let weight: Float

        package init(_ embedding: Embedding, weight: Float = 1) {
            (self.embedding, self.weight) = (embedding, weight)
        }
    }

    /// One part, or several joined by AND.
    package let parts: [Part]
    /// Nil if guidance is at most 1 and there is a single part of weight 1: views are then evaluated once, with the
    /// prompt alone.
    package let negative: Embedding?
    /// All embeddings, by digest.
    package let embeddings: [EmbeddingDigest: Embedding]
    /// Prompt scheduling: successive prompts of a phase, with the number of steps of each. Empty if the prompt does not
    /// change.
    private var turns: [(steps: Int, prompts: Prompts)] = []
    /// The same prompts encoded for the refiner, if there is one. An array, because a struct cannot contain itself.
    private var refined: [Prompts] = []

    package init(positive: Embedding, negative: Embedding?) {
        self.init(parts: [Part(positive)], negative: negative)
    }

    /// - Parameters:
    ///   - parts: at least one
    ///   - negative: the negative prompt
    package init(parts: [Part], negative: Embedding?) {
        precondition(!parts.isEmpty)
        (self.parts, self.negative) = (parts, negative)
        embeddings = Dictionary(
            (parts.map(\.embedding) + (negative.map { [$0] } ?? [])).map { ($0.digest, $0) }
        ) { first, _ in first }
    }

    /// Prompts that change over the steps of a phase.
    ///
    /// - Parameter turns: at least one prompt, with the number of steps that it is used for
    package init(turns: [(steps: Int, prompts: Prompts)]) {
        precondition(!turns.isEmpty)
        self = turns[0].prompts
        if turns.count > 1 { self.turns = turns }
    }

    /// These prompts, together with their encoding for the refiner.
    package func refined(by refiner: Prompts) -> Prompts {
        var prompts = self
        prompts.refined = [refiner]
        return prompts
    }

    /// The prompts as encoded for the model or for its refiner.
    func read(byRefiner isRefined: Bool) -> Prompts {
        guard isRefined else { return self }
        guard let own = refined.first else {
            preconditionFailure("the prompts were not encoded for the refiner")
        }
        return own
    }

    /// The prompts of a step of a phase, counted from 0. The last ones stay in use after their steps are over.
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

    /// Whether there are several parts joined by AND, or a single one with a weight.
    package var areJoined: Bool { PromptPart.areJoined(parts.map(\.weight)) }

    /// The prompt alone, for views without guidance. Parts joined by AND keep the negative prompt, because they are
    /// defined as differences from it.
    package var unguided: Prompts {
        areJoined ? self : Prompts(parts: parts, negative: nil)
    }

    /// The conditioning of a view.
    ///
    /// Image-editing models have two guidance scales (Brooks et al., 2023, equation 3): the prediction is the one
    /// without picture and prompt, plus the image scale times the effect of the picture, plus the guidance scale times
    /// the further effect of the prompt's parts.
    ///
    /// - Parameters:
    ///   - timeIDs: SDXL's size and crop ids
    ///   - imageScale: the image guidance scale of an editing model, as a fraction of the guidance scale; nil for other
    ///     models
    /// - Returns: the conditioning of the negative prompt, if there is one, and of the prompt's parts
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

/// SDXL's size and crop ids, for the prompt and the negative prompt: see `WorkUnit.Conditioning.timeIDs`.
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
    ///   - index: index in the step's list of views, for error messages
    ///   - latent: `[1, height, width, channels]`, scaled for the model
    ///   - timestep: timestep of the noise schedule
    ///   - guidance: guidance scale, used only with a negative prompt; at least 1 if AND joins prompts
    ///   - prompts: the conditioning
    ///   - timeIDs: SDXL's size and crop ids; nil for models without them
    ///   - picture: the network's additional input channels, `[1, height, width, channels]`
    ///   - imageGuidance: the image guidance scale of an editing model; nil for other models
    ///   - place: the view's position in the render, for error messages
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

    /// A latent to be decoded or a picture to be encoded: the whole, or one tile of it.
    ///
    /// - Parameters:
    ///   - index: index in the list of tiles, for error messages
    ///   - half: whether to decode or to encode
    ///   - input: a latent or a picture, including the tile's margins
    ///   - part: what to compute for a tile; its `attention` is set here
    ///   - attention: tokens of the whole picture that the tile attends to
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
