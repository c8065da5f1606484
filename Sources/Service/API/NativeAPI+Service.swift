import Coordinator
import Engine
import Foundation
import HTTPTypes
import Hummingbird
import Sampling

extension NativeAPI {
    var serviceOperations: [Operation] {
        [models, loras, samplers, workers, limits, health, ready, metrics]
    }

    private static func list(_ name: String, _ element: Schema) -> Schema {
        .given(
            .object([
                "type": .string("object"), "required": .array([.string(name)]),
                "properties": .object([name: Schema.array(element).json]),
            ])
        )
    }

    private var models: Operation {
        Operation(
            method: .get,
            path: "/api/v1/models",
            name: "listModels",
            summary: "The models that a job may name, the default one first.",
            answers: [.json(200, Self.list("models", .anyObject), "Models.")]
                + Operation.Answer.errors(403)
        ) { _, _ in
            let entries = try await Blocking.run { [models = desk.resources.models] in
                models.entries
            }
            let items = entries.map { entry in
                JSON.object(["name": .string(entry.name), "default": .bool(entry.isDefault)])
            }
            return Response(json: .object(["models": .array(items)]))
        }
    }

    private var loras: Operation {
        Operation(
            method: .get,
            path: "/api/v1/loras",
            name: "listLoRAs",
            summary: "The LoRA files that a job may name.",
            answers: [.json(200, Self.list("loras", .anyObject), "LoRA files.")]
                + Operation.Answer.errors(403)
        ) { _, _ in
            let names = try await Blocking.run { [loras = desk.resources.loras] in loras.names }
            let items = names.map { JSON.object(["name": .string($0)]) }
            return Response(json: .object(["loras": .array(items)]))
        }
    }

    private var samplers: Operation {
        Operation(
            method: .get,
            path: "/api/v1/samplers",
            name: "listSamplers",
            summary: "The samplers that the setting 'scheduler' takes.",
            answers: [.json(200, Self.list("samplers", .anyObject), "Samplers.")]
                + Operation.Answer.errors(403)
        ) { _, _ in
            let items = SchedulerKind.allCases.map { kind in
                JSON.object(["name": .string(kind.rawValue), "label": .string(kind.label)])
            }
            return Response(json: .object(["samplers": .array(items)]))
        }
    }

    private var workers: Operation {
        Operation(
            method: .get,
            path: "/api/v1/workers",
            name: "listWorkers",
            summary: "The workers of the model that is loaded.",
            answers: [.json(200, Self.list("workers", .reference("Worker")), "Workers.")]
                + Operation.Answer.errors(403)
        ) { _, _ in
            let items = desk.runner.workers.map { WorkerStatistics.shape.json($0) }
            return Response(json: .object(["workers": .array(items)]))
        }
    }

    private var limits: Operation {
        Operation(
            method: .get,
            path: "/api/v1/limits",
            name: "getLimits",
            summary: "What one picture, the caller and the whole queue may take.",
            answers: [.json(200, .anyObject, "Limits by name.")] + Operation.Answer.errors(403)
        ) { _, context in
            let limits = desk.limits.limits(for: context.caller.quota)
            return Response(json: .object(limits.values.mapValues(JSON.count)))
        }
    }

    private var health: Operation {
        Operation(
            method: .get,
            path: "/healthz",
            name: "health",
            summary: "Whether the process answers.",
            isOpen: true,
            answers: [.json(200, .anyObject, "It does.")] + Operation.Answer.errors(403)
        ) { _, _ in Response(json: .object(["status": .string("ok")])) }
    }

    private var ready: Operation {
        Operation(
            method: .get,
            path: "/readyz",
            name: "ready",
            summary: "Whether jobs are accepted and rendered.",
            isOpen: true,
            answers: [
                .json(200, .anyObject, "They are."),
                .json(503, .anyObject, "They are not: 'reason' says why."),
            ] + Operation.Answer.errors(403)
        ) { _, _ in
            _ = try await Blocking.run { [store = desk.store] in try store.counts() }
            guard let reason = desk.runner.hold else {
                return Response(json: .object(["status": .string("ready")]))
            }
            return Response(
                json: .object([
                    "status": .string("held"), "reason": .string(reason),
                ]),
                status: .serviceUnavailable
            )
        }
    }

    private var metrics: Operation {
        Operation(
            method: .get,
            path: "/metrics",
            name: "metrics",
            summary: "Numbers for Prometheus.",
            answers: [
                .init(status: 200, help: "Text.", content: ("text/plain", .string))
            ] + Operation.Answer.errors(403)
        ) { _, _ in
            let (counts, oldest) = try await Blocking.run { [store = desk.store] in
                (try store.counts(), try store.oldestQueued())
            }
            let text =
                ServiceMetrics(
                    jobs: counts,
                    oldestWait: oldest.map { Date().timeIntervalSince1970 - $0 } ?? 0,
                    workers: desk.runner.workers,
                    watchers: desk.hub.watchers,
                    freeBytes: desk.folder.freeBytes,
                    isHeld: desk.runner.hold != nil
                ).text + PrometheusRegistry.shared.text
            return Response(text: text, type: "text/plain; version=0.0.4")
        }
    }
}
