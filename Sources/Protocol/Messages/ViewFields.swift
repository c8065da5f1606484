import Engine

// Encoding of views on the wire.

extension WorkUnit.View {
    init(_ wire: WirePredict) throws(FrameError) {
        guard wire.timestep.isFinite, wire.guidance.isFinite else { throw .field("task.predict") }
        guard (1...Self.maxConditionings).contains(wire.conditioning.count) else {
            throw .field("task.predict.conditioning")
        }
        guard wire.pictureChannels <= Self.maxPictureChannels else {
            throw .field("task.predict.picture_channels")
        }
        var conditioning: [WorkUnit.Conditioning] = []
        for entry in wire.conditioning { conditioning.append(try .init(entry)) }
        self.init(
            timestep: wire.timestep,
            guidance: wire.guidance,
            conditioning: conditioning,
            pictureChannels: Int(wire.pictureChannels)
        )
    }
}

extension WirePredict {
    init(_ view: WorkUnit.View) {
        self.init()
        timestep = view.timestep
        guidance = view.guidance
        pictureChannels = UInt32(view.pictureChannels)
        conditioning = view.conditioning.map { entry in
            .with {
                $0.embedding = entry.embedding.data
                $0.timeIds = entry.timeIDs ?? []
                $0.weight = entry.weight
                $0.omitsPicture = entry.omitsPicture
            }
        }
    }
}

extension WorkUnit.Conditioning {
    fileprivate init(_ wire: WireConditioning) throws(FrameError) {
        let ids = wire.timeIds
        guard [0, 5, 6].contains(ids.count), ids.allSatisfy(\.isFinite) else {
            throw .field("conditioning.time_ids")
        }
        guard wire.weight.isFinite else { throw .field("conditioning.weight") }
        self.init(
            embedding: try EmbeddingDigest(wire: wire.embedding, field: "conditioning.embedding"),
            timeIDs: ids.isEmpty ? nil : ids,
            weight: wire.weight,
            omitsPicture: wire.omitsPicture
        )
    }
}
