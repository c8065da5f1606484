import Engine

/// Asks a worker about the state of its host. It carries tensors of zeros in order to measure the link.
package struct Inquiry: Equatable, Sendable {
    package var number: UInt64
    /// Number of floats that it carries to the worker, and number that the report must carry back.
    package var load: Int
    package var floats: Int

    package init(number: UInt64, load: Int = 0, floats: Int = 0) {
        (self.number, self.load, self.floats) = (number, load, floats)
    }

    /// Maximum number of floats in one direction.
    package static let maxFloats = 4 << 20
}

/// The state of a worker's host. Unknown values are nil.
package struct WorkerReport: Codable, Equatable, Sendable {
    /// Number of the inquiry that it answers; 0 if unsolicited.
    package var number: UInt64 = 0
    /// The worker's clock: microseconds since 1970.
    package var clock: UInt64 = 0
    /// Total memory, and the part that programs can still use without swapping, in bytes.
    package var memory: Int?
    package var available: Int?
    /// Peak memory of the worker's process, and how much of its memory is swapped out, in bytes.
    package var peak: Int?
    package var swapped: Int?
    /// Free bytes where the worker stores weights, and the path of that folder.
    package var cacheFree: Int?
    package var cache = ""
    /// Temperature of the hottest sensor, in degrees Celsius.
    package var temperature: Double?
    /// Number of floats that it carries.
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
