import Engine

/// A question to a worker: how its host is. It carries tensors of zeros, to measure the link.
package struct Inquiry: Equatable, Sendable {
    package var number: UInt64
    /// Floats that it carries to the worker, and that the report carries back.
    package var load: Int
    package var floats: Int

    package init(number: UInt64, load: Int = 0, floats: Int = 0) {
        (self.number, self.load, self.floats) = (number, load, floats)
    }

    /// Most floats in one direction.
    package static let maxFloats = 4 << 20
}

/// How a worker's host is. Unknown numbers are nil.
package struct WorkerReport: Codable, Equatable, Sendable {
    /// Of the inquiry that it answers; 0: unasked.
    package var number: UInt64 = 0
    /// The worker's clock: microseconds since 1970.
    package var clock: UInt64 = 0
    /// Bytes of memory, and what programs can still have of it.
    package var memory: Int?
    package var available: Int?
    /// Largest memory of the worker's process so far, and what of it is swapped out.
    package var peak: Int?
    package var swapped: Int?
    /// Free bytes where the worker keeps weights.
    package var cacheFree: Int?
    package var cache = ""
    /// Degrees Celsius of the hottest sensor.
    package var temperature: Double?
    /// Floats that it carries.
    package var load = 0

    package init() {}
}

extension Inquiry {
    init(_ wire: WireInquiry, _ tensors: [Tensor]) throws(FrameError) {
        guard wire.floats <= UInt32(Self.maxFloats) else { throw .field("inquiry.floats") }
        guard tensors.count <= 1 else { throw .tensorCount(tensors.count) }
        self.init(
            number: wire.number,
            load: tensors.first?.count ?? 0,
            floats: Int(wire.floats)
        )
    }
}

extension WireInquiry {
    init(_ inquiry: Inquiry) {
        self.init()
        number = inquiry.number
        floats = UInt32(inquiry.floats)
    }
}

extension WorkerReport {
    init(_ wire: WireReport, _ tensors: [Tensor]) throws(FrameError) {
        guard tensors.count <= 1 else { throw .tensorCount(tensors.count) }
        func bytes(_ isKnown: Bool, _ value: UInt64) -> Int? {
            isKnown ? Int(clamping: value) : nil
        }
        self.init()
        (number, clock) = (wire.number, wire.clockMicroseconds)
        memory = bytes(wire.hasMemoryBytes, wire.memoryBytes)
        available = bytes(wire.hasAvailableBytes, wire.availableBytes)
        peak = bytes(wire.hasPeakBytes, wire.peakBytes)
        swapped = bytes(wire.hasSwappedBytes, wire.swappedBytes)
        cacheFree = bytes(wire.hasCacheBytes, wire.cacheBytes)
        cache = printable(wire.cache, limit: 300)
        if wire.hasTemperature, (-100...300).contains(wire.temperature) {
            temperature = Double(wire.temperature)
        }
        load = tensors.first?.count ?? 0
    }
}

extension WireReport {
    init(_ report: WorkerReport) {
        self.init()
        (number, clockMicroseconds) = (report.number, report.clock)
        if let value = report.memory { memoryBytes = UInt64(value) }
        if let value = report.available { availableBytes = UInt64(value) }
        if let value = report.peak { peakBytes = UInt64(value) }
        if let value = report.swapped { swappedBytes = UInt64(value) }
        if let value = report.cacheFree { cacheBytes = UInt64(value) }
        cache = report.cache
        if let value = report.temperature { temperature = Float(value) }
    }
}
